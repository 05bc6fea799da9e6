"""What asks about ports: the ones that the services of a demo host would listen on."""

import re

from bot.playground.machine.programs.options import options
from bot.playground.machine.system import Call, SimulatedSystem

PORTS = {"sshd": (22,), "nginx": (80,), "postgresql": (5432,), "app": (8000,)}
REFUSED = 7  # curl's status for a port where nobody listens


def open_ports(system: SimulatedSystem) -> list[int]:
    """Those of the services that are active."""
    return sorted(port for name, ports in PORTS.items() for port in ports if system.services[name].active == "active")


async def ss(call: Call) -> int:
    """Listening TCP sockets, whatever is asked for."""
    found, _ = options(call.words)
    if "H" not in found:
        await call.say("State  Recv-Q Send-Q Local Address:Port Peer Address:Port")
    for port in open_ports(call.system):
        await call.say(f"LISTEN 0      511          0.0.0.0:{port}       0.0.0.0:*")
    return 0


async def curl(call: Call) -> int:
    """GET of the host itself over HTTP: 200 where somebody listens. Nothing leaves the simulation."""
    found, operands = options(call.words, "owmHXAu")
    for name in ("max-time", "connect-timeout", "write-out", "output"):
        if found.get(name) == "" and operands:
            found[name] = operands.pop(0)
    url = re.fullmatch(r"http://([\w.-]+)(?::(\d+))?(/\S*)?", operands[-1] if operands else "")
    if url is None or url[1] not in {"localhost", "127.0.0.1", call.system.hostname}:
        return await call.complain("curl: (6) Could not resolve host: only this host itself is simulated", 6)
    port = int(url[2] or 80)
    if port not in open_ports(call.system):
        return await call.complain(f"curl: ({REFUSED}) Failed to connect to {url[1]} port {port} after 0 ms", REFUSED)
    if "o" not in found and "output" not in found:
        await call.say("ok")
    form = found.get("w", found.get("write-out", ""))
    await call.put(1, form.replace("%{http_code}", "200").replace("%{time_total}", "0.004217").encode())
    return 0
