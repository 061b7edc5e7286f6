//! What templates may ask of the key files beside the settings. Whether the files are right is checked before, by the rules of
//! the inputs; here a file that is missing is an error where it is asked for.

use super::secret::Hidden;
use crate::inputs::{File, Files};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{Environment, Error, ErrorKind, Value};
use portreeve_sops::Keys;

/// The key files.
pub(super) struct KeyFiles {
    public: Option<Value>,
    private: Option<Value>,
    tunnel: Option<Value>,
    token: Option<Value>,
    deploy: Option<Value>,
    push: Option<Value>,
}

impl KeyFiles {
    pub(super) fn read(files: &Files) -> Self {
        let text = |file| files.get(file).map(|text| text.text.expose().as_str());
        let age = text(File::Age);
        let keys = age.and_then(|text| Keys::parse(text).ok());
        let recipient = keys.and_then(|keys| keys.recipients().first().map(ToString::to_string));
        // Without the key itself its public half is enough for whatever is not encrypted.
        let noted =
            || age?.lines().find_map(|line| Some(line.strip_prefix("# public key: ")?.trim().to_owned()));
        let recipient = recipient.or_else(noted);
        let private = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| line.starts_with("AGE-SECRET-KEY-"));
            Hidden::value(&lines.collect::<Vec<_>>().join("\n"))
        };
        let tunnel: Option<serde_json::Value> =
            text(File::Tunnel).and_then(|text| serde_json::from_str(text).ok());
        let part = |name: &str| tunnel.as_ref().and_then(|tunnel| tunnel[name].as_str());
        let token = || Some(token(part("AccountTag")?, part("TunnelID")?, part("TunnelSecret")?));
        Self {
            public: recipient.map(Value::from),
            private: age.map(private),
            token: token().map(|token| Hidden::value(&token)),
            tunnel: part("TunnelID").map(Value::from),
            deploy: text(File::DeployKey).map(Hidden::value),
            push: text(File::PushToken).map(|text| Hidden::value(text.trim())),
        }
    }

    /// Adds the functions.
    pub(super) fn offer(self, environment: &mut Environment<'static>) {
        let Self { public, private, tunnel, token, deploy, push } = self;
        environment.add_function("age_key", move |kind: &str| match kind {
            "public" => there(public.as_ref(), File::Age),
            "private" => there(private.as_ref(), File::Age),
            _ => Err(Error::new(ErrorKind::InvalidOperation, "`age_key` knows `public` and `private`")),
        });
        for (name, value, file) in [
            ("cloudflare_tunnel_id", tunnel, File::Tunnel),
            ("cloudflare_tunnel_secret", token, File::Tunnel),
            ("github_deploy_key", deploy, File::DeployKey),
            ("github_push_token", push, File::PushToken),
        ] {
            environment.add_function(name, move || there(value.as_ref(), file));
        }
    }
}

fn there(value: Option<&Value>, file: File) -> Result<Value, Error> {
    let missing = || format!("`{}` is missing, or not of its form", file.name());
    value.cloned().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, missing()))
}

/// The tunnel's token, as `cloudflared` takes it.
fn token(account: &str, tunnel: &str, secret: &str) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let json = format!(r#"{{"a":{},"t":{},"s":{}}}"#, text(account), text(tunnel), text(secret));
    STANDARD.encode(json)
}
