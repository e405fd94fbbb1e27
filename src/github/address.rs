//! Where GitHub's API is, which repository is meant, and who asks.

use std::{fmt, str::FromStr};

use secrecy::SecretString;

use crate::environment::Environment;

/// GitHub's own API, where nothing else is said.
const GITHUB: &str = "https://api.github.com";

/// A repository: `OWNER/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName {
    owner: String,
    name: String,
}

/// What is no name of a repository.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no repository; it takes OWNER/NAME")]
pub struct BadRepository(String);

impl RepositoryName {
    /// The owner.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name, without the owner.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepositoryName {
    type Err = BadRepository;

    /// GitHub takes letters, digits, `-`, `_` and `.`: nothing that means something else in a URL.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |part: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_allowed)
        };
        match text.trim().split_once('/') {
            Some((owner, name)) if is_plain(owner) && is_plain(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(BadRepository(text.to_owned())),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{}/{}", self.owner, self.name))
    }
}

/// Where to ask about which repository, and as whom.
#[derive(Clone, Debug)]
pub struct GitHubAddress {
    /// The repository.
    pub repository: RepositoryName,
    pub(super) rest: String,
    pub(super) graphql: String,
    pub(super) token: Option<SecretString>,
    pub(super) is_runner: bool,
}

impl GitHubAddress {
    /// Reads GITHUB_API_URL and GITHUB_GRAPHQL_URL, which a runner sets, and the token from GITHUB_TOKEN or GH_TOKEN.
    /// Without a token, public repositories can be asked about, but for what takes GraphQL.
    pub fn read(repository: RepositoryName, environment: &Environment) -> Self {
        let rest = environment.text("GITHUB_API_URL").unwrap_or(GITHUB);
        let rest = rest.trim_end_matches('/').to_owned();
        let graphql = environment
            .text("GITHUB_GRAPHQL_URL")
            .map_or_else(|| graphql_beside(&rest), str::to_owned);
        let token = ["GITHUB_TOKEN", "GH_TOKEN"]
            .iter()
            .find_map(|name| environment.text(name))
            .map(|token| token.trim().into());
        Self {
            repository,
            rest,
            graphql,
            token,
            is_runner: environment.text("GITHUB_ACTIONS") == Some("true"),
        }
    }

    /// The same, asked as somebody else: the action's input.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }
}

/// Where GraphQL is, by the address of the REST API: GitHub Enterprise Server has both below `/api`.
fn graphql_beside(rest: &str) -> String {
    match rest.strip_suffix("/v3") {
        Some(api) => format!("{api}/graphql"),
        None => format!("{rest}/graphql"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> GitHubAddress {
        let repository = "octo/crab".parse().expect("it is a name");
        GitHubAddress::read(repository, &variables.iter().copied().collect())
    }

    #[rstest]
    #[case("octo/crab", Some("octo/crab"))]
    #[case(" octo-1/crab.rs ", Some("octo-1/crab.rs"))]
    #[case("octo", None)]
    #[case("octo/", None)]
    #[case("octo/crab/x", None)]
    #[case("octo/..", None)]
    #[case("https://github.com/octo/crab", None)]
    #[case("octo/crab?x", None)]
    #[case("", None)]
    fn a_repository_is_an_owner_and_a_name(#[case] text: &str, #[case] expected: Option<&str>) {
        let parsed: Option<RepositoryName> = text.parse().ok();
        let told = parsed.map(|name| name.to_string());
        assert_eq!(told.as_deref(), expected);
    }

    #[test]
    fn what_is_no_repository_is_refused_with_what_is_accepted() {
        let error = "crab".parse::<RepositoryName>().expect_err("it is none");
        insta::assert_snapshot!(error, @r#""crab" is no repository; it takes OWNER/NAME"#);
    }

    #[rstest]
    #[case(&[], "https://api.github.com", "https://api.github.com/graphql")]
    #[case(&[("GITHUB_API_URL", "https://ghes/api/v3/")], "https://ghes/api/v3", "https://ghes/api/graphql")]
    #[case(
        &[("GITHUB_API_URL", "https://a"), ("GITHUB_GRAPHQL_URL", "https://b/g")],
        "https://a",
        "https://b/g"
    )]
    fn the_runner_says_where_its_server_is(
        #[case] variables: &[(&str, &str)],
        #[case] rest: &str,
        #[case] graphql: &str,
    ) {
        let address = read(variables);
        assert_eq!(
            (address.rest.as_str(), address.graphql.as_str()),
            (rest, graphql)
        );
    }

    #[test]
    fn a_token_is_taken_and_never_shown() {
        let address = read(&[("GH_TOKEN", "secret-2"), ("GITHUB_TOKEN", "secret-1")]);
        let token = address.token.as_ref().expect("there is one");
        assert_eq!(token.expose_secret(), "secret-1");
        let shown = format!("{address:?}");
        assert!(!shown.contains("secret-"), "{shown}");
    }
}
