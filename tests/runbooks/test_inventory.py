"""What a typed target means."""

from dataclasses import replace

import pytest

from runbooks.inventory import Inventory
from runbooks.remote import Host
from storage.errors import Invalid, NotFound
from tests.builders import hosts

WEB = hosts("web-02", "web-01").hosts
DB = replace(WEB[0], name="DB-01", tags=frozenset({"Db", "big"}), services=frozenset({"postgresql"}))
INVENTORY = Inventory(hosts=(*WEB, DB))


def names(*targets: str) -> list[str]:
    """The hosts that are meant."""
    return [host.name for host in INVENTORY.resolve(targets)]


def test_hosts_keep_the_order_they_were_typed_in_and_count_once() -> None:
    assert names("web-01", "db-01", "WEB-01", " web-02 ") == ["web-01", "DB-01", "web-02"]


def test_a_tag_means_its_hosts_in_the_order_of_the_inventory() -> None:
    assert names("tag:web") == ["web-02", "web-01"]
    assert names("TAG:dB") == ["DB-01"]
    assert names("web-01", "tag:web") == ["web-01", "web-02"]


def test_a_host_that_is_not_there_is_answered_with_near_ones() -> None:
    with pytest.raises(NotFound, match=r"No host matches 'web-03'\. Did you mean web-0\d or web-0\d\?"):
        names("web-01", "web-03")


def test_a_host_like_no_other_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"No host matches 'zzz'\. Known are web-02, web-01, DB-01\."):
        names("zzz")
    many = Inventory(hosts=hosts(*(f"n{number:02}" for number in range(12))).hosts)
    with pytest.raises(NotFound, match="n09 and 2 more"):
        many.host("zzz")
    with pytest.raises(NotFound, match="Known are none"):
        Inventory().host("zzz")


def test_an_unknown_tag_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"No host has the tag 'mail'\. Known tags: Db, big, web\."):
        names("tag:mail")


@pytest.mark.parametrize("target", ["group:web", "http://web-01", ":web"])
def test_what_is_neither_host_nor_tag_is_no_target(target: str) -> None:
    with pytest.raises(Invalid, match="Name a host, tag:NAME or env:NAME"):
        names(target)


def test_an_environment_means_all_its_hosts() -> None:
    places = [("web-01", "prod"), ("web-02", "staging"), ("db-01", "Prod"), ("old-01", None)]
    known = Inventory(hosts=tuple(Host(name=n, address="192.0.2.1", user="ops", environment=e) for n, e in places))
    assert [host.name for host in known.resolve(["env:PROD"])] == ["web-01", "db-01"]
    with pytest.raises(
        NotFound, match=r"No host has the environment 'test'\. Known environments: Prod, prod, staging\."
    ):
        known.resolve(["env:test"])


def test_no_target_is_never_everything() -> None:
    with pytest.raises(Invalid, match="On which host"):
        names()
    with pytest.raises(NotFound):
        names("")
    with pytest.raises(NotFound):
        names("*")


def test_a_service_leads_to_the_hosts_that_list_it() -> None:
    assert [host.name for host in INVENTORY.running("postgresql")] == ["DB-01"]
    assert INVENTORY.running("redis") == ()
