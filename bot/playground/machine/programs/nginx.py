"""nginx, as far as its test of the configuration goes."""

from bot.playground.machine.services import Breakage
from bot.playground.machine.system import Call


async def nginx(call: Call) -> int:
    """nginx -t: the configuration as the service's state has it."""
    if call.system.service("nginx").broken is Breakage.START_FAILS:
        words = 'nginx: [emerg] unexpected end of file, expecting "}" in /etc/nginx/nginx.conf:4'
        return await call.complain(f"{words}\nnginx: configuration file /etc/nginx/nginx.conf test failed")
    await call.complain("nginx: the configuration file /etc/nginx/nginx.conf syntax is ok")
    return await call.complain("nginx: configuration file /etc/nginx/nginx.conf test is successful", 0)
