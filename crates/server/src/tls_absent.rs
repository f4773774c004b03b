//! In the place of TLS where it was not built in: nobody ever has one.

use std::io;
use std::os::fd::OwnedFd;

use crate::readiness::{Readiness, Received};
use crate::tls_config::{TlsConfig, TlsError};

/// There are none.
#[derive(Debug)]
pub(crate) enum Keys {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Tls {}

impl Keys {
    pub(crate) fn read(_: &TlsConfig) -> Result<Keys, TlsError> {
        Err(TlsError::Absent)
    }

    pub(crate) fn from(&self) -> TlsConfig {
        match *self {}
    }

    pub(crate) fn replace(&self, other: Keys) {
        match other {}
    }
}

impl Tls {
    pub(crate) fn new(keys: &Keys) -> io::Result<Tls> {
        match *keys {}
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(crate) fn has_unsent(&self) -> bool {
        match *self {}
    }

    pub(crate) fn memory(&self) -> usize {
        match *self {}
    }

    pub(crate) fn read(
        &mut self,
        _: &OwnedFd,
        _: &mut Readiness,
        _: &mut Vec<u8>,
    ) -> io::Result<Received> {
        match *self {}
    }

    pub(crate) fn write(
        &mut self,
        _: &OwnedFd,
        _: &mut Readiness,
        _: &[u8],
    ) -> io::Result<Option<usize>> {
        match *self {}
    }

    pub(crate) fn flush(&mut self, _: &OwnedFd, _: &mut Readiness) -> io::Result<bool> {
        match *self {}
    }

    pub(crate) fn say_end(&mut self, _: &OwnedFd, _: &mut Readiness) {
        match *self {}
    }
}
