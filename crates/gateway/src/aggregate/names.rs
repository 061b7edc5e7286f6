//! What tools and prompts are called at the address of all servers (decision D9; mcp.md 5.1): the server's configured name, an
//! underscore, and the name that the server gave. Pure: the same configuration gives the same names on every replica.

use portreeve_model::ServerName;
use sha2::{Digest, Sha256};

/// A digest of this many characters tells names apart that were cut or changed.
const DIGEST: usize = 8;

/// The naming of one gate.
pub(crate) struct Names<'a> {
    /// All servers of the aggregate.
    pub(crate) servers: Vec<&'a ServerName>,
    /// How long a name may be.
    pub(crate) longest: usize,
}

impl Names<'_> {
    /// The name under which a server's tool or prompt is known here. One that has characters which clients refuse, is too long,
    /// or could as well be another server's, ends in a digest of the server and the whole name.
    pub(crate) fn exposed(&self, server: &ServerName, name: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let mut whole = format!("{server}_");
        whole.extend(name.chars().map(|c| if fits(c) { c } else { '_' }));
        let changed = !name.chars().all(fits);
        if !changed && whole.len() <= self.longest && !self.is_ambiguous(server, &whole) {
            return whole;
        }
        whole.truncate(self.longest - DIGEST - 1);
        whole.push('_');
        let digest = Sha256::digest([server.as_str().as_bytes(), b"\0", name.as_bytes()].concat());
        for byte in &digest[..DIGEST / 2] {
            whole.push_str(&format!("{byte:02x}"));
        }
        whole
    }

    /// Whether a name may be one of this server's.
    pub(crate) fn may_be_of(&self, server: &ServerName, exposed: &str) -> bool {
        let prefix = format!("{server}_");
        let kept = prefix.len().min(self.longest - DIGEST - 1);
        exposed.as_bytes().get(..kept) == prefix.as_bytes().get(..kept)
    }

    fn is_ambiguous(&self, server: &ServerName, whole: &str) -> bool {
        let of = |other: &&&ServerName| **other != server && whole.starts_with(&format!("{other}_"));
        self.servers.iter().any(|other| of(&other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn server(name: &str) -> ServerName {
        ServerName::new(name).unwrap()
    }

    #[test]
    fn check_135_exposed_names_are_short_of_the_allowed_characters_and_unique() {
        let servers = [server("a"), server("a_b"), server(&"long".repeat(16))];
        let tools = [
            "c",
            "b_c",
            "c.d",
            "c/d",
            "c d",
            "größe",
            "C",
            &"x".repeat(128),
            &format!("{}y", "x".repeat(127)),
        ];
        for longest in [24, 64, 128] {
            let names = Names { servers: servers.iter().collect(), longest };
            let mut seen = HashSet::new();
            for server in &servers {
                for tool in tools {
                    let exposed = names.exposed(server, tool);
                    assert!((1..=longest).contains(&exposed.len()), "{exposed}");
                    assert!(exposed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')));
                    assert!(names.may_be_of(server, &exposed), "{server} {exposed}");
                    assert!(seen.insert(exposed.clone()), "{exposed} is there twice");
                    assert_eq!(names.exposed(server, tool), exposed, "a name does not change");
                }
            }
        }
    }

    #[test]
    fn ordinary_names_only_get_their_servers_in_front() {
        let servers = [server("k8s"), server("tickets")];
        let names = Names { servers: servers.iter().collect(), longest: 64 };
        assert_eq!(names.exposed(&servers[0], "list_pods"), "k8s_list_pods");
        assert!(!names.may_be_of(&servers[1], "k8s_list_pods"));
    }
}
