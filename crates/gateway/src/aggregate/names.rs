//! What tools and prompts are called at the address of all servers (decision D9; mcp.md 5.1): the server's configured name, an
//! underscore, and the name that the server gave. Pure: the same configuration gives the same names on every replica.

use portreeve_model::ServerName;
use sha2::{Digest, Sha256};

/// A digest of this many characters tells names apart that were cut or changed.
const DIGEST: usize = 8;

/// The naming of one gate.
pub(crate) struct Names {
    /// All servers of the aggregate, and what their names begin with here.
    servers: Vec<(ServerName, String)>,
    /// How long a name may be.
    longest: usize,
}

/// Whose a name can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// Only this server's, where it is called like this.
    Server(usize, &'a str),
    /// The name was cut or changed, and is looked for at these.
    OneOf(Vec<usize>),
}

impl Names {
    pub(crate) fn new<'a>(servers: impl Iterator<Item = &'a ServerName>, longest: usize) -> Self {
        Self { servers: servers.map(|server| (server.clone(), format!("{server}_"))).collect(), longest }
    }

    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The name under which a tool or prompt of a server is known here. One that has characters which clients refuse, is too
    /// long, or could as well be another server's or a changed name, ends in a digest of the server and the whole name.
    pub(crate) fn exposed(&self, at: usize, name: &str) -> String {
        let Some((server, prefix)) = self.servers.get(at) else { return name.to_owned() };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let mut whole = prefix.clone();
        whole.extend(name.chars().map(|c| if fits(c) { c } else { '_' }));
        let kept = name.chars().all(fits) && whole.len() <= self.longest && !has_digest(&whole);
        if kept && self.prefix_of(&whole) == Some(at) {
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

    /// Whose this name can be, without a look at any server's list.
    pub(crate) fn owner<'a>(&self, exposed: &'a str) -> Owner<'a> {
        if has_digest(exposed) {
            let mut all = 0..self.servers.len();
            return Owner::OneOf(all.by_ref().filter(|at| self.may_be_of(*at, exposed)).collect());
        }
        match self.prefix_of(exposed) {
            Some(at) => Owner::Server(at, &exposed[self.servers[at].1.len()..]),
            None => Owner::OneOf(Vec::new()),
        }
    }

    /// The server with the longest name that this one begins with. Servers are few, and this is a comparison each.
    fn prefix_of(&self, exposed: &str) -> Option<usize> {
        let begins = |at: &usize| exposed.starts_with(&self.servers[*at].1);
        (0..self.servers.len()).filter(begins).max_by_key(|at| self.servers[*at].1.len())
    }

    fn may_be_of(&self, at: usize, exposed: &str) -> bool {
        let prefix = self.servers[at].1.as_bytes();
        let kept = prefix.len().min(self.longest - DIGEST - 1);
        exposed.as_bytes().get(..kept) == prefix.get(..kept)
    }
}

/// Whether a name looks like one that was cut or changed: only those do.
fn has_digest(name: &str) -> bool {
    let tail = name.len().checked_sub(DIGEST + 1).and_then(|at| name.as_bytes().get(at..));
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    tail.is_some_and(|tail| tail[0] == b'_' && tail[1..].iter().all(hex))
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
            "b",
            "c_12345678",
            &"x".repeat(128),
            &format!("{}y", "x".repeat(127)),
        ];
        for longest in [24, 64, 128] {
            let names = Names::new(servers.iter(), longest);
            let mut seen = HashSet::new();
            for server in 0..servers.len() {
                for tool in tools {
                    let exposed = names.exposed(server, tool);
                    assert!((1..=longest).contains(&exposed.len()), "{exposed}");
                    assert!(exposed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')));
                    match names.owner(&exposed) {
                        Owner::Server(at, own) => assert_eq!((at, own), (server, tool), "{exposed}"),
                        Owner::OneOf(some) => assert!(some.contains(&server), "{server} {exposed}"),
                    }
                    assert!(seen.insert(exposed.clone()), "{exposed} is there twice");
                    assert_eq!(names.exposed(server, tool), exposed, "a name does not change");
                }
            }
        }
    }

    #[test]
    fn ordinary_names_only_get_their_servers_in_front_and_belong_to_nobody_else() {
        let servers = [server("k8s"), server("k8s_new"), server("tickets")];
        let names = Names::new(servers.iter(), 64);
        for (at, tool, exposed) in [(0, "list_pods", "k8s_list_pods"), (1, "list_pods", "k8s_new_list_pods")]
        {
            assert_eq!(names.exposed(at, tool), exposed);
            assert_eq!(names.owner(exposed), Owner::Server(at, tool));
        }
        assert_ne!(names.exposed(0, "new_list_pods"), "k8s_new_list_pods");
        for nobodys in ["list_pods", "ticket_x", "", "none_12345678"] {
            assert_eq!(names.owner(nobodys), Owner::OneOf(Vec::new()), "{nobodys}");
        }
    }

    #[test]
    fn a_name_that_looks_changed_is_changed() {
        let servers = [server("a"), server("b")];
        let names = Names::new(servers.iter(), 64);
        let forged = names.exposed(0, "c.d");
        let forged = forged.strip_prefix("a_").unwrap();
        assert_ne!(
            names.exposed(0, forged),
            names.exposed(0, "c.d"),
            "no server can take another tool's name"
        );
    }
}
