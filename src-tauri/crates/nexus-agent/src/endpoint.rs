//! Where a model service is reached, when it is not the usual place.

use reqwest::Url;
use std::{fmt, net::IpAddr, str::FromStr};

/// The address of a model service that a key may be sent to: `https`, or plain `http` on this
/// machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// An address that no key may be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBaseUrl {
    #[error("read `{0}` as an address: give one such as https://gateway.example/v1")]
    NotAnAddress(String),
    #[error("use {0}: it is not encrypted; use https, or http on this machine only")]
    NotEncrypted(Url),
    #[error("use an address with a user name or password in it: save the key in NEXUS instead")]
    HoldsCredentials,
}

impl BaseUrl {
    /// The address without a `/` at its end.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;
    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        let url = Url::parse(text.trim()).ok().filter(Url::has_host);
        let url = url.ok_or_else(|| BadBaseUrl::NotAnAddress(text.to_owned()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadBaseUrl::HoldsCredentials);
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_this_machine(&url) => Ok(Self(url)),
            "http" => Err(BadBaseUrl::NotEncrypted(url)),
            _ => Err(BadBaseUrl::NotAnAddress(text.to_owned())),
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_nowhere_in_clear_but_to_this_machine() {
        for good in [
            "https://gateway.example/anthropic",
            "http://127.0.0.1:8901",
            "http://127.9.9.9/",
            "http://[::1]:80/v1",
            "http://localhost:3000",
        ] {
            assert!(good.parse::<BaseUrl>().is_ok(), "{good}");
        }
        for bad in [
            "http://gateway.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "http://0.0.0.0:1",
            "ftp://127.0.0.1",
            "https://me:secret@gateway.example",
            "gateway.example",
            "",
            "file:///etc/passwd",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_address_has_no_slash_at_its_end() {
        let url: BaseUrl = "http://127.0.0.1:8901/".parse().unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8901");
    }

    #[test]
    fn a_refusal_does_not_repeat_a_password() {
        let refused = "https://me:secret@gateway.example".parse::<BaseUrl>();
        assert!(!refused.unwrap_err().to_string().contains("secret"));
    }
}
