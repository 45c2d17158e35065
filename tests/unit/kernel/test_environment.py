"""Settings: which source wins, what a mistake says, what stays hidden."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tracebraid.pipeline.kernel.environment import known_variables, load_settings
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings

SECRET = "s3cr3t-1e5"


def written(folder: Path, text: str) -> str:
    path = folder / "tracebraid.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def mistake(path: str | None = None, environ: dict[str, str] | None = None, **options: object) -> str:
    with pytest.raises(UsageError) as caught:
        load_settings(path, environ or {}, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_two_variables_suffice() -> None:
    settings = load_settings(None, {"TRACEBRAID_LAKE": "/srv/lake", "TRACEBRAID_BOOTSTRAP_SERVERS": "a:9092,b:9092"})
    assert settings.model_dump() == Settings(lake="/srv/lake", bootstrap_servers="a:9092,b:9092").model_dump()
    assert settings.warnings() == []


def test_nothing_given_is_all_defaults() -> None:
    assert load_settings(None, {}) == Settings()


def test_option_beats_variable_beats_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'lake = "file"\ntenant = "file"\nbootstrap_servers = "file:1"\n[ingest]\ngroup = "file"\nflush_mib = 1\nflush_age_s = 5')
    environ = {"TRACEBRAID_LAKE": "variable", "TRACEBRAID_TENANT": "variable", "TRACEBRAID_INGEST__FLUSH_MIB": "2", "TRACEBRAID_INGEST__GROUP": "variable"}
    settings = load_settings(path, environ, lake="option", tenant=None, ingest={"group": "option"})
    expected = {"lake": "option", "tenant": "variable", "bootstrap_servers": "file:1", "ingest": {"group": "option", "flush_mib": 2, "flush_age_s": 5}}
    assert settings.model_dump() == Settings.model_validate(expected).model_dump()
    names = ["lake", "tenant", "bootstrap_servers", "ingest.group", "ingest.flush_mib", "ingest.flush_age_s", "ingest.start"]
    origins = ["option", "TRACEBRAID_TENANT", path, "option", "TRACEBRAID_INGEST__FLUSH_MIB", path, "default"]
    assert [settings.origin(name) for name in names] == origins


def test_config_variable_names_the_file(tmp_path: Path) -> None:
    assert load_settings(None, {"TRACEBRAID_CONFIG": written(tmp_path, 'lake = "file"')}).lake == "file"


def test_topics_in_a_variable_are_json() -> None:
    topics = [{"name": "otlp_spans", "encoding": "otlp_proto"}, {"pattern": "app-.*"}]
    settings = load_settings(None, {"TRACEBRAID_TOPICS": json.dumps(topics)})
    assert settings.topics == (TopicSettings(name="otlp_spans", encoding="otlp_proto"), TopicSettings(pattern="app-.*"))
    assert "TRACEBRAID_TOPICS is not JSON" in mistake(environ={"TRACEBRAID_TOPICS": "otlp_spans"})


def test_lists_in_variables_are_json_and_texts_that_look_like_it_are_not() -> None:
    environ = {
        "TRACEBRAID_RULES__FILES": '["a.yaml", "b/*.yaml"]',
        "TRACEBRAID_REDACT__MASK": '["token"]',
        "TRACEBRAID_BOOTSTRAP_SERVERS": "[::1]:9092",
        "TRACEBRAID_TENANT": '{"a": 1}',
        "TRACEBRAID_REDACT__KEY": "[1, 2, 3, 4, 5, 6]",
        "TRACEBRAID_LOG__LEVEL": "debug",
    }
    settings = load_settings(None, environ)
    assert (settings.rules.files, settings.redact.mask, settings.log.level) == (("a.yaml", "b/*.yaml"), ("token",), "debug")
    assert (settings.bootstrap_servers, settings.tenant, settings.redact.key.get_secret_value()) == ("[::1]:9092", '{"a": 1}', "[1, 2, 3, 4, 5, 6]")
    assert "TRACEBRAID_REDACT__MASK is not JSON" in mistake(environ={"TRACEBRAID_REDACT__MASK": "token"})
    assert "TRACEBRAID_RULES__FILES" in mistake(environ={"TRACEBRAID_RULES__FILES": "1"})


@pytest.mark.parametrize("password", ["plain", "1e5", "007", "true", '{"a": 1}', "with = sign", "ünïcode", " spaces "])
def test_client_variables_reach_librdkafka_as_they_stand(password: str) -> None:
    environ = {
        "TRACEBRAID_CLIENT__SECURITY_PROTOCOL": "SASL_SSL",
        "TRACEBRAID_CLIENT__SASL_MECHANISM": "OAUTHBEARER",
        "TRACEBRAID_CLIENT__SASL_OAUTHBEARER_METHOD": "oidc",
        "TRACEBRAID_CLIENT__SASL_OAUTHBEARER_CLIENT_SECRET": password,
    }
    settings = load_settings(None, environ)
    assert settings.client_config() == {
        "bootstrap.servers": "localhost:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.secret": password,
    }
    assert settings.warnings() == []


def test_dotted_and_quoted_client_names_are_the_same_setting(tmp_path: Path) -> None:
    path = written(tmp_path, '[client]\nsasl.password = "file"\n"security.protocol" = "SASL_SSL"\nsocket.timeout.ms = 5\nsocket.keepalive.enable = true')
    assert load_settings(path, {"TRACEBRAID_CLIENT__SASL_PASSWORD": "variable"}).client_config() == {
        "bootstrap.servers": "localhost:9092",
        "sasl.password": "variable",
        "security.protocol": "SASL_SSL",
        "socket.timeout.ms": "5",
        "socket.keepalive.enable": "true",
    }


def test_storage_options_are_one_setting_in_either_case(tmp_path: Path) -> None:
    path = written(tmp_path, '[storage_options]\nAWS_REGION = "file"\naws_endpoint = "http://localhost:9000"')
    assert load_settings(path, {"TRACEBRAID_STORAGE_OPTIONS__AWS_REGION": "variable"}).storage_config() == {
        "aws_region": "variable",
        "aws_endpoint": "http://localhost:9000",
    }


def test_unknown_variable_is_a_warning_with_a_suggestion() -> None:
    environ = {"TRACEBRAID_LAEK": "x", "TRACEBRAID_INGEST__FLUSH_MB": "1", "TRACEBRAID_ZZZ": "1", "TRACEBRAID_TEST_BOOTSTRAP": "x", "TRACEBRAID_TENANT": ""}
    settings = load_settings(None, environ)
    assert settings.model_dump() == Settings().model_dump()
    assert settings.warnings() == [
        "TRACEBRAID_INGEST__FLUSH_MB is no setting (did you mean TRACEBRAID_INGEST__FLUSH_MIB?); it is ignored",
        "TRACEBRAID_LAEK is no setting (did you mean TRACEBRAID_LAKE?); it is ignored",
        "TRACEBRAID_ZZZ is no setting; it is ignored",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lake = ", "is not TOML: Invalid value"),
        ('lakes = "x"', "lakes in {path}: there is no such setting (did you mean lake?)"),
        ("[ingest]\nflush_mb = 1", "ingest.flush_mb in {path}: there is no such setting (did you mean ingest.flush_mib?)"),
        ("[ingest]\nflush_mib = 0\nflush_age_s = 0", "ingest.flush_mib in {path} is 0: Input should be greater than or equal to 1 (1 more)"),
        ("[ingest]\nflush_mib = 257", "less than or equal to 256"),
        ('[ingest]\nstart = "noon"', "ingest.start in {path} is 'noon': say earliest, latest or an ISO 8601 time"),
        ("ingest = 3", "ingest in {path} is 3"),
        ('lake = ""', "lake in {path}: String should have at least 1 character"),
        ('bootstrap_servers = "a:b"', "'a:b' is not host:port"),
        ('bootstrap_servers = ""', "'' is not host:port"),
        ('[[topics]]\nname = "a"\nencoding = "avro"', "topics[0].encoding in {path} is 'avro': Input should be 'auto'"),
        ('[[topics]]\nname = "a b"', "topics[0].name in {path} is 'a b': not a topic's name"),
        ('[[topics]]\npattern = "("', "topics[0].pattern in {path} is '(': not a regular expression"),
        ('[[topics]]\nname = "a"\npattern = "b"', "topics[0] in {path}: give either name or pattern"),
        ("[[topics]]\n", "topics[0] in {path}: give either name or pattern"),
        ('[[topics]]\nname = "a"\n[[topics]]\nname = "a"', "topics names a twice"),
        ('[[topics]]\nname = "tracebraid.rejects"', "tracebraid would read what it writes"),
        ("[stream]\nreplication_factor = 0", "give -1 for the broker's default"),
        ("[stream]\nflush_ms = 60000", "less than or equal to 7500"),
        ('[client]\nbootstrap.servers = "a"', "client in {path}: bootstrap.servers is the setting bootstrap_servers"),
        ("[client]\nsasl.password = [1]", "client: sasl.password must be a text, a number or a boolean"),
        ("[http]\nport = 70000", "http.port in {path} is 70000"),
    ],
)
def test_mistake_in_the_file_is_one_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    assert says.format(path=path) in mistake(path)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("TRACEBRAID_INGEST__FLUSH_MIB", "many", "TRACEBRAID_INGEST__FLUSH_MIB is 'many': Input should be a valid integer"),
        ("TRACEBRAID_STREAM__ENABLED", "maybe", "TRACEBRAID_STREAM__ENABLED is 'maybe': Input should be a valid boolean"),
        ("TRACEBRAID_CLIENT__BOOTSTRAP_SERVERS", SECRET, "client: bootstrap.servers is the setting"),
        ("TRACEBRAID_CONFIG", "/nowhere.toml", "cannot read the settings file /nowhere.toml: No such file or directory"),
    ],
)
def test_mistake_in_a_variable_is_one_line_that_names_it(variable: str, value: str, says: str) -> None:
    assert mistake(environ={variable: value}).startswith(says)


def test_secrets_are_in_no_repr_error_warning_or_dump(tmp_path: Path) -> None:
    names = ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "ssl.keystore.password"]
    names += ["sasl.oauthbearer.assertion.private.key.passphrase", "enable.auto.commit.password"]
    settings = Settings.model_validate(
        {
            "lake": f"s3://user:{SECRET}@bucket/path?sig={SECRET}",
            "client": {**dict.fromkeys(names, SECRET), "sasl.oauthbearer.token.endpoint.url": f"https://u:{SECRET}@idp/token", "client.id": "shown"},
            "storage_options": {"AWS_SECRET_ACCESS_KEY": SECRET, "never_heard_of": SECRET, "aws_region": "shown"},
        }
    )
    for text in (
        repr(settings),
        str(settings),
        repr(settings.client),
        str(settings.masked()),
        *settings.warnings(),
        settings.model_dump_json(include={"client"}),
    ):
        assert SECRET not in text
    assert settings.masked()["client"] == {
        **dict.fromkeys(names, "***"),
        "sasl.oauthbearer.token.endpoint.url": "https://***@idp/token",
        "client.id": "shown",
    }
    assert settings.masked()["storage_options"] == {"aws_secret_access_key": "***", "never_heard_of": "***", "aws_region": "shown"}
    assert settings.masked()["lake"] == "s3://***@bucket/path?***"
    assert SECRET not in mistake(written(tmp_path, f'sasl_password = "{SECRET}"'))
    assert SECRET not in mistake(written(tmp_path, f'[client]\nsasl.password = ["{SECRET}"]'))
    assert SECRET not in mistake(environ={"TRACEBRAID_BOOTSTRAP_SERVERS": f"kafka://u:{SECRET}@host:1"})


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"client": {"isolation.level": "read_uncommitted"}}, "client.isolation.level is tracebraid's own"),
        ({"client": {"security.protocol": "SASL_PLAINTEXT"}}, "credentials cross the network in the clear"),
        ({"client": {"sasl.username": "u"}}, "client.security.protocol is plaintext, so it is not used"),
        ({"client": {"sasl.mechanism": "OAUTHBEARER", "security.protocol": "SASL_SSL"}}, "sasl.oauthbearer.method = oidc"),
        ({"client": {"enable.ssl.certificate.verification": False}}, "anyone can pose as the broker"),
        ({"client": {"ssl.endpoint.identification.algorithm": "none"}}, "any host with a valid certificate"),
        ({"ingest": {"flush_age_s": 1}}, "many small files"),
        ({"ingest": {"start": "2026-11-01T00:00:00"}}, "taken as UTC"),
        ({"topics": [{"pattern": "tracebraid.*"}]}, "which tracebraid writes"),
    ],
)
def test_unwise_settings_are_warnings_not_errors(values: dict[str, object], warning: str) -> None:
    (found,) = Settings.model_validate(values).warnings()
    assert warning in found


def test_own_client_settings_never_reach_librdkafka() -> None:
    settings = Settings.model_validate({"client": {"enable.auto.commit": True, "group.id": "mine", "client.id": "kept"}})
    assert settings.client_config() == {"bootstrap.servers": "localhost:9092", "client.id": "kept"}


def test_every_setting_has_a_variable() -> None:
    variables = known_variables()
    assert {"TRACEBRAID_LAKE", "TRACEBRAID_TOPICS", "TRACEBRAID_INGEST__FLUSH_AGE_S", "TRACEBRAID_HTTP__PORT"} <= variables.keys()
    assert "TRACEBRAID_CLIENT" not in variables


def test_environment_is_read_when_none_is_given() -> None:
    program = "from tracebraid.pipeline.kernel.environment import load_settings; print(load_settings().lake)"
    done = subprocess.run([sys.executable, "-c", program], env={"TRACEBRAID_LAKE": "/srv/lake"}, capture_output=True, text=True, check=True)
    assert done.stdout == "/srv/lake\n"


def test_where_the_object_store_is_comes_from_its_own_variables_beneath_the_file(tmp_path: Path) -> None:
    """Its credentials do not: the clients read those themselves. An object store's requests end sooner than by its client's defaults."""
    path = tmp_path / "t.toml"
    path.write_text('lake = "s3://lakes/x"\n[storage_options]\naws_region = "file"\nmax_retries = 1\n')
    environ = {"AWS_REGION": "variable", "AWS_ENDPOINT_URL": "http://store:7070", "AWS_ALLOW_HTTP": "true", "AWS_SECRET_ACCESS_KEY": "secret"}
    settings = load_settings(path, environ)
    assert settings.storage_config() == {
        "aws_region": "file",
        "aws_endpoint_url": "http://store:7070",
        "aws_allow_http": "true",
        "max_retries": "1",
        "retry_timeout": "20s",
    }
    assert settings.origin("storage_options.aws_endpoint_url") == "AWS_ENDPOINT_URL"
    assert load_settings(path, environ, lake="/var/lake").storage_config().keys() == {"aws_region", "aws_endpoint_url", "aws_allow_http", "max_retries"}
    path.write_text('lake = "s3://lakes/x"\n[storage_options]\nendpoint = "http://other:1"\n')
    assert "aws_endpoint_url" not in load_settings(path, environ).storage_config()
