//! The parameters of TLS at run time: CONFIG GET and SET of `tls-cert-file` and its kin.

use std::sync::Arc;

use larder_engine::{Change, Keeper};

use crate::tls::Keys;
use crate::tls_config::TlsConfig;

/// What CONFIG asks for the parameters of TLS.
pub(crate) struct KeptKeys(pub(crate) Arc<Keys>);

const NAMES: &[&str] = &[
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-ca-cert-file",
    "tls-auth-clients",
    "tls-protocols",
];

impl Keeper for KeptKeys {
    fn names(&self) -> &'static [&'static str] {
        NAMES
    }

    fn get(&self, name: &str) -> String {
        self.0.from().get(name)
    }

    /// Reads all files with these changes, so that a certificate and its key can change at once.
    fn prepare(&self, changes: &[(&'static str, &[u8])]) -> Result<Change, String> {
        let mut from = self.0.from();
        for (name, value) in changes {
            from.set(name, &String::from_utf8_lossy(value))?;
        }
        let new = Keys::read(&from).map_err(|error| {
            tracing::warn!("the certificates stay as they are: {error}");
            error.to_string()
        })?;
        let keys = Arc::clone(&self.0);
        Ok(Box::new(move || keys.replace(new)))
    }
}

impl TlsConfig {
    /// Gives a parameter, by its name in redis.conf, a value.
    ///
    /// # Errors
    ///
    /// If the value is none. Files are not looked at.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "tls-cert-file" => self.cert_file = value.into(),
            "tls-key-file" => self.key_file = value.into(),
            "tls-key-file-pass" => value.clone_into(&mut self.key_file_pass),
            "tls-ca-cert-file" => self.ca_cert_file = value.into(),
            "tls-auth-clients" => self.auth_clients = value.parse()?,
            "tls-protocols" => value.clone_into(&mut self.protocols),
            _ => return Err(format!("{name} is no parameter of TLS")),
        }
        Ok(())
    }

    /// The value of a parameter, by its name in redis.conf.
    fn get(&self, name: &str) -> String {
        match name {
            "tls-cert-file" => self.cert_file.display().to_string(),
            "tls-key-file" => self.key_file.display().to_string(),
            "tls-ca-cert-file" => self.ca_cert_file.display().to_string(),
            "tls-auth-clients" => self.auth_clients.to_string(),
            "tls-protocols" => self.protocols.clone(),
            // The password of a key is always empty.
            _ => String::new(),
        }
    }
}
