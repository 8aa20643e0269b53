"""Settings of Attesters as text."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest

from rats_tls import registry
from rats_tls.attesters.device_attester import DeviceAttester
from rats_tls.attesters.settings import SETTINGS, read_settings
from rats_tls.core.errors import ConfigurationError


def test_every_attester_of_hardware_has_those_that_its_class_takes() -> None:
    assert set(SETTINGS) == set(registry.BUILT_IN["attesters"]) - {"null"}
    for name, settings in SETTINGS.items():
        factory = registry._load("attesters", name)
        assert isinstance(factory, type)
        assert issubclass(factory, DeviceAttester)
        assert set(settings) <= set(inspect.signature(factory).parameters)


def test_texts() -> None:
    assert read_settings("sev", {"broker": "vsock:2:5577", "guest_handle": "7", "seconds": "5"}) == {
        "broker": "vsock:2:5577",
        "guest_handle": 7,
        "seconds": 5.0,
    }
    assert read_settings("sev", {"guest_handle": "0x10"}) == {"guest_handle": 16}
    assert read_settings("sev", {"guest_handle": "0XfF"}) == {"guest_handle": 255}
    assert read_settings("null", {}) == {}


@pytest.mark.parametrize(
    ("attester", "texts", "said"),
    [
        ("sev_snp", {"vmpl": "1"}, "attester sev_snp: setting 'vmpl': not known; there are: seconds, privilege_level"),
        ("null", {"x": "1"}, "attester null: setting 'x': not known; there are: none"),
        ("auto", {"x": "1"}, "not known"),
        ("sev_snp", {"privilege_level": "-1"}, "privilege_level: got '-1', expected a whole number from 0 to 3"),
        ("sev_snp", {"privilege_level": "4"}, "privilege_level: got '4', expected a whole number from 0 to 3"),
        ("sev_snp", {"privilege_level": ""}, "privilege_level: got '', expected a whole number from 0 to 3"),
        ("csv", {"report_version": "4"}, "report_version: got '4', expected a whole number from 1 to 3"),
        ("sev", {"guest_handle": "-1"}, "guest_handle: got '-1', expected a whole number from 1 to 4294967295"),
        ("sev", {"guest_handle": "9" * 20}, "expected a whole number from 1 to 4294967295"),
        ("sev", {"guest_handle": "9" * 50}, "expected a whole number from 1 to 4294967295"),
        ("sev", {"guest_handle": "0x100000000"}, "expected a whole number from 1 to 4294967295"),
        ("sev", {"guest_handle": "0x"}, "expected a whole number"),
        ("sev", {"guest_handle": "1_0"}, "expected a whole number"),
        ("sev", {"guest_handle": "\u0661"}, "expected a whole number"),
        ("csv", {"seconds": "0"}, "seconds: got '0', expected 1 to 9999 seconds"),
        ("csv", {"seconds": "1.5"}, "expected 1 to 9999 seconds"),
        ("csv", {"seconds": "99999"}, "expected 1 to 9999 seconds"),
    ],
)
def test_of_another_form(attester: str, texts: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(attester, texts)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sgx_la", "attester sgx_la: target_info"),
        ("sev", "attester sev: broker: missing"),
    ],
)
def test_what_is_required_is_named(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.attester(name)
    assert caught.value.message.startswith(said)
    assert next(iter(registry.required_settings(name))) in said


def test_what_is_required_is_what_cannot_be_left_out() -> None:
    for name, settings in SETTINGS.items():
        required = registry.required_settings(name)
        assert set(required) <= set(settings)
        if required:
            with pytest.raises(ConfigurationError, match="missing"):
                registry.attester(name)
        else:
            assert registry.attester(name).name == name


def test_by_the_registry() -> None:
    assert registry.attester("sev", {"broker": "unix:/nowhere", "guest_handle": "3"}).name == "sev"
    with pytest.raises(ConfigurationError, match="guest_handle: got 'x'"):
        registry.attester("sev", {"broker": "unix:/nowhere", "guest_handle": "x"})
    with pytest.raises(ConfigurationError, match="privilege_level: got '7', expected a whole number from 0 to 3"):
        registry.attester("sev_snp", {"privilege_level": "7"})


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1, 0, 10_000, "x", None, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_seconds_of_another_kind_are_refused_at_once(name: str, seconds: object) -> None:
    required: dict[str, dict[str, Any]] = {
        "sgx_la": {"target_info": b""},
        "sev": {"broker": "unix:/nowhere", "guest_handle": 1},
    }
    with pytest.raises(ConfigurationError) as caught:
        registry._load("attesters", name)(seconds=seconds, **required.get(name, {}))
    assert caught.value.message.startswith(f"attester {name}: seconds: got {seconds!r}, expected a number above 0")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("tdx_ecdsa", {"qgs": 5}, "qgs: got 5, expected unix:PATH"),
        ("tdx_ecdsa", {"qgs": ""}, "qgs: got '', expected unix:PATH"),
        ("tdx_ecdsa", {"qgs": "tcp:x"}, "qgs: got 'tcp:x', expected unix:PATH"),
        ("tdx_ecdsa", {"event_log": 5}, "event_log: got 5, expected a file's name"),
        ("tdx_ecdsa", {"configuration": None}, "configuration: got None, expected a file's name"),
        ("sev", {"broker": b"x", "guest_handle": 1}, "broker: got b'x', expected unix:PATH"),
        ("sev", {"broker": "x", "guest_handle": 1}, "broker: got 'x', expected unix:PATH"),
        ("sev", {"broker": "unix:/x", "guest_handle": "1"}, "guest_handle: got '1', expected 1 to"),
        ("csv", {"certificates": 0}, "certificates: got 0, expected a file's name"),
        ("csv", {"certificates": ""}, "certificates: got '', expected a file's name"),
        ("sgx_la", {"target_info": 0}, "target_info: got 0, expected a file's name"),
        ("sgx_la", {"target_info": ""}, "target_info: got '', expected a file's name"),
    ],
)
def test_settings_of_another_kind_are_named_at_once(name: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry._load("attesters", name)(**settings)
    assert caught.value.message.startswith(f"attester {name}: {said}")
