//! A test's database behind a wire.

use sqlx::{ConnectOptions, postgres::PgSslMode};

use super::TestDatabase;
use crate::Wire;

impl TestDatabase {
    /// A wire to it, and the URL of its near end. The wire sees commits only in unencrypted
    /// connections, so this one is.
    pub async fn over_a_wire(&self) -> std::io::Result<(Wire, String)> {
        let options = self.options();
        let wire = Wire::to(options.get_host(), options.get_port()).await?;
        let options = options
            .host("127.0.0.1")
            .port(wire.port())
            .ssl_mode(PgSslMode::Disable);
        Ok((wire, options.to_url_lossy().into()))
    }
}
