//! Encryption and passwords.

use std::path::Path;

use super::Builder;

impl Builder {
    /// Encrypts connections, and checks the cluster's certificate against those that the host
    /// trusts.
    pub fn tls(self) -> Self {
        self.security("SSL")
    }

    /// Trusts the certificate authorities in this PEM file instead of the host's.
    pub fn ca_certificates(self, file: impl AsRef<Path>) -> Self {
        self.setting("ssl.ca.location", text(file.as_ref()))
    }

    /// Shows the cluster a certificate of this program: PEM files of the certificate and its key.
    pub fn client_certificate(self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.setting("ssl.certificate.location", text(certificate.as_ref()))
            .setting("ssl.key.location", text(key.as_ref()))
    }

    /// Authenticates with a password by SASL/SCRAM-SHA-512.
    pub fn scram_sha_512(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl("SCRAM-SHA-512", user.into(), password.into())
    }

    /// Authenticates with a password by SASL/SCRAM-SHA-256.
    pub fn scram_sha_256(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sasl("SCRAM-SHA-256", user.into(), password.into())
    }

    fn sasl(self, mechanism: &str, user: String, password: String) -> Self {
        self.security("SASL")
            .setting("sasl.mechanism", mechanism)
            .setting("sasl.username", user)
            .setting("sasl.password", password)
    }

    /// Adds TLS or SASL to what the connections have.
    fn security(self, added: &str) -> Self {
        let protocol = self.settings.further.0.get("security.protocol");
        let tls = added == "SSL" || protocol.is_some_and(|protocol| protocol.ends_with("SSL"));
        let sasl = added == "SASL" || protocol.is_some_and(|protocol| protocol.starts_with("SASL"));
        let protocol = match (tls, sasl) {
            (true, true) => "SASL_SSL",
            (true, false) => "SSL",
            (false, _) => "SASL_PLAINTEXT",
        };
        self.setting("security.protocol", protocol)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
