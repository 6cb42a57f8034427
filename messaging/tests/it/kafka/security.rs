//! Clusters that ask who a client is, and that encrypt.

use mainstay_messaging::{Error, conformance::ConsumerFixture as _, kafka::Builder};
use mainstay_testkit::kafka::PrivateServer;

use super::fixture::{KafkaFixture, builder, message, read};

async fn server() -> Option<PrivateServer> {
    PrivateServer::for_suite("messaging").await.unwrap()
}

async fn a_message_goes_round(address: &str, settings: impl FnOnce(Builder) -> Builder) {
    let f = KafkaFixture::new(address, None, settings).await;
    let topic = f.topic(1).await;
    f.append(&[message("a", 0)]).await;
    let deliveries = read(&mut f.join(&topic).await, 1).await;
    let message = deliveries[0].content.message().unwrap();
    assert_eq!(message.payload.as_deref(), Some(&b"0"[..]));
}

fn password(builder: Builder, password: &str) -> Builder {
    builder
        .setting("security.protocol", "SASL_PLAINTEXT")
        .setting("sasl.mechanism", "PLAIN")
        .setting("sasl.username", "shop")
        .setting("sasl.password", password)
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good_and_the_right_one_lets_messages_through() {
    let Some(server) = server().await else {
        return;
    };
    let users = "org.apache.kafka.common.security.plain.PlainLoginModule required \
        user_shop=\"swordfish\";";
    let settings = [
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.further.plain.sasl.jaas.config", users),
    ];
    let address = server.listen_also("SASL_PLAINTEXT", &settings);
    let address = address.await.unwrap();
    let opened = password(builder(&address, ""), "guessed").open().await;
    let error = opened.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    let text = error.to_string();
    for part in [
        "connecting to the cluster failed",
        "uthentication",
        &address,
    ] {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
    assert!(!text.contains("guessed"), "{text}");
    a_message_goes_round(&address, |builder| password(builder, "swordfish")).await;
}

#[cfg(feature = "kafka-tls")]
mod tls {
    use std::{
        env, fs,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
        process::Command,
    };

    use super::*;

    /// A program of Java, which is there where Kafka is.
    fn keytool(arguments: &[&str]) -> Vec<u8> {
        let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/keytool"));
        let mut command = Command::new(home.unwrap_or_else(|| PathBuf::from("keytool")));
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// A certificate that has signed itself, and its key: in a file of Java's, and as PEM without the key.
    fn certificate(directory: &Path, name: &str) -> (String, PathBuf) {
        let (store, pem) = (
            directory.join(format!("{name}.p12")),
            directory.join(format!("{name}.pem")),
        );
        let text = store.to_str().unwrap();
        let key = ["-keystore", text, "-storepass", "changeit", "-alias", name];
        let pair = [
            "-genkeypair",
            "-keyalg",
            "EC",
            "-groupname",
            "secp256r1",
            "-storetype",
            "PKCS12",
            "-dname",
            "CN=127.0.0.1",
            "-ext",
            "san=ip:127.0.0.1",
            "-validity",
            "30",
        ];
        keytool(&[&pair[..], &key].concat());
        fs::write(
            &pem,
            keytool(&[&["-exportcert", "-rfc"][..], &key].concat()),
        )
        .unwrap();
        // Another user may run the server.
        fs::set_permissions(&store, fs::Permissions::from_mode(0o644)).unwrap();
        (text.to_owned(), pem)
    }

    #[tokio::test]
    async fn messages_are_encrypted_on_their_way_to_the_cluster_whose_certificate_is_trusted() {
        let Some(server) = server().await else {
            return;
        };
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (store, trusted) = certificate(directory.path(), "cluster");
        let (_, other) = certificate(directory.path(), "other");
        let settings = [
            ("ssl.keystore.type", "PKCS12"),
            ("ssl.keystore.location", &*store),
            ("ssl.keystore.password", "changeit"),
        ];
        let address = server.listen_also("SSL", &settings).await.unwrap();
        let opened = builder(&address, "").tls().ca_certificates(other).open();
        let error = opened.await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
        a_message_goes_round(&address, |builder| builder.tls().ca_certificates(trusted)).await;
    }
}
