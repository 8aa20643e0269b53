"""Settings of Attesters as text."""

from __future__ import annotations

import inspect

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
