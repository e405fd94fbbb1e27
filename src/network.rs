//! How the network is reached: proxies, and which certificates are trusted.
//!
//! Certificates of the system are trusted, and those that are built in: a slim image has none of its own, and a company's
//! image has more. A system whose certificates can't be read costs nothing but those.

use ureq::{
    Proxy,
    tls::{Certificate, RootCerts},
};

use crate::environment::Environment;

/// A variable that names no proxy that hotcrate can use.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is not a proxy that can be used; it takes http://HOST:PORT")]
pub struct BadProxy {
    /// The variable.
    pub variable: &'static str,
}

/// The proxies that the environment names, if any: by the scheme of the address that is asked.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http` addresses.
    pub plain: Option<Proxy>,
    /// For `https` addresses.
    pub secure: Option<Proxy>,
}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in lower case first, as curl and GitHub's own
    /// client do. The machine itself is never asked through a proxy.
    pub fn read(environment: &Environment) -> Result<Self, BadProxy> {
        Ok(Self {
            plain: proxy(environment, &["http_proxy", "HTTP_PROXY"])?,
            secure: proxy(environment, &["https_proxy", "HTTPS_PROXY"])?,
        })
    }
}

fn proxy(environment: &Environment, names: &[&'static str]) -> Result<Option<Proxy>, BadProxy> {
    let found = names
        .iter()
        .chain(&["all_proxy", "ALL_PROXY"])
        .find_map(|name| Some((*name, environment.text(name)?)));
    let Some((variable, address)) = found else {
        return Ok(None);
    };
    let refused = |_| BadProxy { variable };
    let given = Proxy::new(address.trim()).map_err(refused)?;
    if !matches!(given.protocol().to_string().as_str(), "HTTP" | "HTTPS") {
        return Err(BadProxy { variable });
    }
    let mut builder = Proxy::builder(given.protocol())
        .host(given.host())
        .port(given.port());
    if let Some(user) = given.username() {
        builder = builder.username(user);
    }
    if let Some(password) = given.password() {
        builder = builder.password(password);
    }
    for host in ["localhost", "127.*", "[::1]", "::1"] {
        builder = builder.no_proxy(host);
    }
    for host in without_proxy(environment) {
        builder = builder.no_proxy(host);
        // A bare domain stands for what lies below it, too: as curl has it.
        if !host.starts_with(['.', '*']) {
            builder = builder.no_proxy(&format!(".{host}"));
        }
    }
    builder.build().map(Some).map_err(refused)
}

fn without_proxy(environment: &Environment) -> impl Iterator<Item = &str> {
    ["no_proxy", "NO_PROXY"]
        .iter()
        .find_map(|name| environment.text(name))
        .unwrap_or_default()
        .split([',', ' '])
        .map(str::trim)
        .filter(|host| !host.is_empty())
}

/// The certificates that are built in, and those of the system or of SSL_CERT_FILE and SSL_CERT_DIR.
pub fn root_certificates(environment: &Environment) -> RootCerts {
    let (file, directory) = (
        environment.path("SSL_CERT_FILE"),
        environment.path("SSL_CERT_DIR"),
    );
    let system = if file.is_some() || directory.is_some() {
        rustls_native_certs::load_certs_from_paths(file.as_deref(), directory.as_deref())
    } else {
        rustls_native_certs::load_native_certs()
    };
    for error in &system.errors {
        tracing::debug!("some certificates of the system are left out: {error}");
    }
    let built_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let all = built_in
        .map(|certificate| Certificate::from_der(certificate.as_ref()))
        .chain(
            system
                .certs
                .iter()
                .map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()),
        );
    RootCerts::from(all.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Proxies, BadProxy> {
        Proxies::read(&variables.iter().copied().collect())
    }

    #[test]
    fn without_variables_there_is_no_proxy() {
        let proxies = read(&[]).unwrap();
        assert!(proxies.plain.is_none() && proxies.secure.is_none());
    }

    #[test]
    fn each_scheme_has_a_proxy_of_its_own() {
        let proxies = read(&[
            ("http_proxy", "http://plain:3128"),
            ("HTTPS_PROXY", "http://user:p%40ss@secure:3128"),
        ])
        .unwrap();
        assert_eq!(proxies.plain.unwrap().host(), "plain");
        let secure = proxies.secure.unwrap();
        assert_eq!((secure.host(), secure.port()), ("secure", 3128));
        assert_eq!(
            (secure.username(), secure.password()),
            (Some("user"), Some("p@ss"))
        );
    }

    #[rstest]
    #[case("http://127.0.0.1:9000/x", true)]
    #[case("http://localhost/x", true)]
    #[case("http://blob.internal.example/x", true)]
    #[case("http://internal.example/x", true)]
    #[case("http://cache.corp/x", true)]
    #[case("http://corp/x", false)]
    #[case("http://elsewhere.example/x", false)]
    fn some_hosts_are_reached_without(#[case] address: &str, #[case] expected: bool) {
        let proxies = read(&[
            ("all_proxy", "http://proxy:8080"),
            ("no_proxy", "internal.example, .corp"),
        ])
        .unwrap();
        let address = address.parse().unwrap();
        assert_eq!(proxies.plain.unwrap().is_no_proxy(&address), expected);
    }

    #[rstest]
    #[case("socks5://proxy:1080")]
    #[case("http://")]
    #[case("not a proxy")]
    fn a_proxy_that_can_not_be_used_is_named_by_its_variable(#[case] address: &str) {
        let error = read(&[("HTTPS_PROXY", address)]).unwrap_err();
        // Windows does not tell the two spellings apart.
        let error = error.to_string().replace("https_proxy", "HTTPS_PROXY");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"HTTPS_PROXY is not a proxy that can be used; it takes http://HOST:PORT");
        }
    }

    #[test]
    fn a_system_without_certificates_leaves_those_that_are_built_in() {
        let nowhere = std::env::temp_dir().join("hotcrate-no-such-file.pem");
        let environment = [("SSL_CERT_FILE", nowhere)].into_iter().collect();
        let RootCerts::Specific(certificates) = root_certificates(&environment) else {
            unreachable!("they are listed one by one");
        };
        assert_eq!(
            certificates.len(),
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
        );
    }
}
