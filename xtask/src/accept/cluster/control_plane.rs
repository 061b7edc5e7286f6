//! A real API server over a real etcd, on loopback ports of the system's choice, with keys that live as long as the proof. Its programs
//! are built by Go out of `tests/stack/kube`, once. There are no controllers: nothing here runs what it is given.
#![expect(clippy::disallowed_methods, reason = "a developer's tool runs what it asks; none of it ships")]

use super::flux::Built;
use crate::command::{self, root};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    error::Error,
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// From its start until the API server answers; it takes about 4 s on two idle cores.
const READY: Duration = Duration::from_secs(90);
/// Until the API server serves what the CRDs define.
const ESTABLISHED: &str = "60s";
/// How long between two looks at whether it is ready.
const LOOK: Duration = Duration::from_millis(200);
/// The version in `tests/stack/kube/go.mod`.
const KUBERNETES: &str = "v1.36.3";
/// The version that the genuine files of the tests were made with.
const SOPS: &str = "github.com/getsops/sops/v3/cmd/sops@v3.13.3";

type Failable<T> = Result<T, Box<dyn Error>>;

/// A program that ends with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The running control plane; the API server goes before what it stores in.
pub(super) struct ControlPlane {
    _api: Daemon,
    _etcd: Daemon,
    folder: TempDir,
    kubectl: PathBuf,
    server: String,
    token: String,
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// `sops`, built if it is not there.
pub(super) fn sops(stack: &Path) -> Failable<PathBuf> {
    let program = stack.join("bin/sops");
    if !program.exists() {
        let mut install = command::command("go", &["install", SOPS]);
        install.env("GOBIN", stack.join("bin"));
        command::run(install)?;
    }
    Ok(program)
}

/// The folder with the control plane's programs, built if they are not there; Go itself knows what has changed.
fn programs(stack: &Path) -> Failable<PathBuf> {
    let folder = stack.join("kube");
    fs::create_dir_all(&folder)?;
    let out = folder.display().to_string();
    // Without its release's scripts the API server would not know which version it is.
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}");
    let mut build = command::command("go", &["build", "-trimpath", "-ldflags", &flags, "-o", &out, "tool"]);
    build.current_dir(root().join("tests/stack/kube")).env("CGO_ENABLED", "0");
    command::run(build)?;
    Ok(folder)
}

impl ControlPlane {
    /// Builds what is missing, starts both and waits until the API server is ready.
    pub(super) fn start(stack: &Path) -> Failable<Self> {
        let programs = programs(stack)?;
        let folder = tempfile::tempdir()?;
        let (client, peer, api) = (free_port()?, free_port()?, free_port()?);
        let etcd = etcd(&programs.join("server"), folder.path(), client, peer)?;
        let token = secret(folder.path())?;
        let server = api_server(&programs.join("kube-apiserver"), folder.path(), client, api)?;
        let mut plane = Self {
            _api: server,
            _etcd: etcd,
            folder,
            kubectl: programs.join("kubectl"),
            server: format!("https://127.0.0.1:{api}"),
            token,
        };
        plane.wait()?;
        Ok(plane)
    }

    fn wait(&mut self) -> Failable<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self._api.0.try_wait()? {
                return Err(format!("the API server ended ({status}): {}", self.last_words()).into());
            }
            if self.kubectl(&["get", "--raw", "/readyz"]).output()?.status.success() {
                return Ok(());
            }
            if began.elapsed() > READY {
                return Err(
                    format!("the API server is not ready after {READY:?}: {}", self.last_words()).into()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("kube-apiserver.log")).unwrap_or_default();
        log.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }

    fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        let certificate = self.folder.path().join("apiserver.crt");
        command.env("HOME", self.folder.path()).env("KUBECONFIG", "/dev/null");
        command.args(["--server", &self.server, "--token", &self.token, "--certificate-authority"]);
        command.arg(certificate).args(arguments);
        command
    }

    fn said(&self, arguments: &[&str]) -> Failable<String> {
        let output = self.kubectl(arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("kubectl {}: {}", arguments.join(" "), said.trim()).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `kubectl` with a manifest on its standard input.
    fn fed(&self, arguments: &[&str], manifest: &Value) -> Failable<std::process::Output> {
        let file = self.folder.path().join("manifest.json");
        File::create(&file)?.write_all(manifest.to_string().as_bytes())?;
        let input = File::open(&file)?;
        Ok(self.kubectl(arguments).stdin(input).output()?)
    }

    pub(super) fn version(&self) -> Failable<String> {
        let version: Value = serde_json::from_str(&self.said(&["get", "--raw", "/version"])?)?;
        let version = version["gitVersion"].as_str().unwrap_or("of an unknown version");
        Ok(format!("Kubernetes {version}"))
    }

    /// Installs CRDs and waits until they are served; how many there are.
    pub(super) fn install_crds(&self, folder: &Path) -> Failable<usize> {
        let folder = folder.display().to_string();
        let applied = self.said(&["apply", "--server-side", "-R", "-f", &folder])?;
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout", ESTABLISHED];
        self.said(&wait)?;
        Ok(applied.lines().count())
    }

    /// The kinds that have no namespace, as `group/Kind`.
    pub(super) fn cluster_scoped(&self) -> Failable<BTreeSet<String>> {
        let all = self.said(&["api-resources", "--namespaced=false", "--no-headers"])?;
        let kind = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [.., version, _, kind] = words.as_slice() else { return None };
            let group = version.split_once('/').map_or("", |(group, _)| group);
            Some(format!("{group}/{kind}"))
        };
        Ok(all.lines().filter_map(kind).collect())
    }

    /// Makes the namespaces that a tree declares, for real: nothing can be tried in one that is not there.
    pub(super) fn make_namespaces(&self, built: &[Built]) -> Failable<()> {
        let objects = built.iter().flat_map(|built| &built.objects);
        let namespaces: Vec<&Value> = objects.filter(|object| object["kind"] == "Namespace").collect();
        if namespaces.is_empty() {
            return Ok(());
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": namespaces});
        let output = self.fed(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &list)?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("the namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
    }

    /// How many objects were accepted, and what was said about the others.
    pub(super) fn dry_run(&self, list: &Value) -> Failable<(usize, String)> {
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        let output = self.fed(&arguments, list)?;
        let accepted = String::from_utf8(output.stdout)?.lines().count();
        Ok((accepted, String::from_utf8(output.stderr)?))
    }

    /// Builds a directory as the kustomize controller does.
    pub(super) fn kustomize(&self, directory: &Path) -> Failable<String> {
        let directory = directory.display().to_string();
        self.said(&["kustomize", "--load-restrictor", "LoadRestrictionsNone", &directory])
    }
}

fn daemon(program: &Path, folder: &Path, name: &str, arguments: &[String]) -> Failable<Daemon> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().map_err(|error| format!("{} does not start: {error}", program.display()))?;
    Ok(Daemon(child))
}

fn etcd(program: &Path, folder: &Path, client: u16, peer: u16) -> Failable<Daemon> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let arguments = [
        "--unsafe-no-fsync".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ];
    daemon(program, folder, "etcd", &arguments)
}

/// Makes the key of service accounts and the one token that is let in; gives the token.
fn secret(folder: &Path) -> Failable<String> {
    let key = rcgen::KeyPair::generate()?;
    fs::write(folder.join("accounts.key"), key.serialize_pem())?;
    fs::write(folder.join("accounts.pub"), key.public_key_pem())?;
    let token: String = key.public_key_raw().iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join("tokens.csv"), format!("{token},proof,proof,\"system:masters\"\n"))?;
    Ok(token)
}

fn api_server(program: &Path, folder: &Path, etcd: u16, port: u16) -> Failable<Daemon> {
    let at = |name: &str| folder.join(name).display().to_string();
    let arguments = [
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--cert-dir={}", folder.display()),
        format!("--token-auth-file={}", at("tokens.csv")),
        format!("--service-account-key-file={}", at("accounts.pub")),
        format!("--service-account-signing-key-file={}", at("accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction,PodSecurity,ResourceQuota,LimitRanger".to_owned(),
        // Without its controller no token of a service account exists, and no pod is made here.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ];
    daemon(program, folder, "kube-apiserver", &arguments)
}
