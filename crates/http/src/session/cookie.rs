//! The cookie that holds the token of a session.
//!
//! Source: RFC 6265bis (draft-ietf-httpbis-rfc6265bis), sections 4.1, 4.2 and 4.1.3 for the prefixes
//! of names.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

/// Which requests from other sites bring the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SameSite {
    /// None at all, not even a click on a link.
    Strict,
    /// Those by which a browser comes to the site, such as a click on a link.
    #[default]
    Lax,
    /// All. Whoever says so has to defend against forged requests in another way.
    None,
}

/// How a cookie is named, and what is said of it to browsers.
#[derive(Clone, Debug)]
pub(super) struct Cookie {
    /// Without its prefix.
    name: String,
    domain: Option<String>,
    pub(super) same_site: SameSite,
    pub(super) is_secure: bool,
    /// Whether it stays when the browser is closed.
    pub(super) is_kept: bool,
}

impl Cookie {
    pub(super) fn new() -> Cookie {
        Cookie {
            name: "session".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            is_secure: true,
            is_kept: true,
        }
    }

    pub(super) fn set_name(&mut self, name: &str) {
        let is_allowed =
            |byte| matches!(byte, b'!'..=b'~') && !br#"()<>@,;:\"/[]?={}"#.contains(&byte);
        let is_name = !name.is_empty() && name.bytes().all(is_allowed);
        assert!(is_name, "{name:?} is no name of a cookie");
        name.clone_into(&mut self.name);
    }

    pub(super) fn set_domain(&mut self, domain: &str) {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let is_domain = !domain.is_empty() && domain.bytes().all(is_allowed);
        assert!(is_domain, "{domain:?} is no domain of a cookie");
        self.domain = Some(domain.to_owned());
    }

    /// The name with the prefix by which a browser takes it from nobody but this host over TLS, or
    /// at least from nobody without TLS.
    fn full_name(&self) -> String {
        let prefix = match (self.is_secure, &self.domain) {
            (true, None) => "__Host-",
            (true, Some(_)) => "__Secure-",
            (false, _) => "",
        };
        format!("{prefix}{}", self.name)
    }

    /// The token that a request shows. None if it shows several: one may be somebody else's, who has
    /// put it there from another host of the domain.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.full_name();
        let lines = headers.get_all(COOKIE).into_iter();
        let mut tokens = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(other, _)| *other == name)
            .map(|(_, token)| token);
        let token = tokens.next()?;
        tokens.all(|other| other == token).then(|| token.to_owned())
    }

    /// What gives the cookie to a browser.
    pub(super) fn given(&self, token: &str, lasts: Duration) -> Option<HeaderValue> {
        self.written(token, self.is_kept.then_some(lasts))
    }

    /// What takes the cookie from a browser.
    pub(super) fn taken(&self) -> Option<HeaderValue> {
        self.written("", Some(Duration::ZERO))
    }

    fn written(&self, token: &str, max_age: Option<Duration>) -> Option<HeaderValue> {
        let mut text = format!("{}={token}; Path=/; HttpOnly", self.full_name());
        if self.is_secure {
            text.push_str("; Secure");
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        if let Some(domain) = &self.domain {
            text.push_str(&format!("; Domain={domain}"));
        }
        if let Some(max_age) = max_age {
            text.push_str(&format!("; Max-Age={}", max_age.as_secs()));
        }
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        Cookie::new().read(&headers)
    }

    fn text(value: Option<HeaderValue>) -> String {
        let value = value.expect("it is a header");
        value.to_str().expect("it is text").to_owned()
    }

    #[test]
    fn the_cookie_of_this_name_is_found_among_others() {
        assert_eq!(shown(&["a=b; __Host-session=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(shown(&["a=b", "__Host-session=x"]).as_deref(), Some("x"));
        assert_eq!(
            shown(&["session=x; __Host-Session=y; __Host-session"]),
            None
        );
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn of_two_that_differ_none_is_believed() {
        assert_eq!(shown(&["__Host-session=x; __Host-session=y"]), None);
        assert_eq!(
            shown(&["__Host-session=x", "__Host-session=x"]).as_deref(),
            Some("x")
        );
    }

    #[test]
    fn a_cookie_is_for_this_host_over_tls_and_for_no_script() {
        let mut cookie = Cookie::new();
        let hour = Duration::from_secs(3600);
        let host = "__Host-session=x; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3600";
        assert_eq!(text(cookie.given("x", hour)), host);
        let taken = "__Host-session=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0";
        assert_eq!(text(cookie.taken()), taken);

        cookie.set_name("shop");
        cookie.set_domain("example.org");
        cookie.is_kept = false;
        cookie.same_site = SameSite::Strict;
        let domain =
            "__Secure-shop=x; Path=/; HttpOnly; Secure; SameSite=Strict; Domain=example.org";
        assert_eq!(text(cookie.given("x", hour)), domain);
    }

    #[test]
    fn what_is_no_name_or_domain_is_found_by_the_first_test() {
        for name in ["", "a b", "a;b", "a=b", "ü"] {
            let set = || Cookie::new().set_name(name);
            assert!(std::panic::catch_unwind(set).is_err(), "{name}");
        }
        for domain in ["", "a;b", "a b"] {
            let set = || Cookie::new().set_domain(domain);
            assert!(std::panic::catch_unwind(set).is_err(), "{domain}");
        }
    }
}
