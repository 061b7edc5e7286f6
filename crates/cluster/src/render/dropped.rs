//! Why a file is not in the tree: the application or the template that it would come from, and the condition that left it out.
//! Looked up in the templates, for messages; nothing is rendered here.

use super::templates::{Template, Templates};
use crate::{documents, told::Spot};

/// Something that was left out.
pub(crate) struct Dropped {
    /// What it is, as a message begins.
    pub(crate) what: String,
    /// The template with the condition.
    pub(crate) template: String,
    /// Where the condition stands.
    pub(crate) spot: Spot,
    /// The condition; none where the template is blank by itself.
    pub(crate) condition: Option<String>,
}

impl Templates {
    /// What left a file or directory out of a tree; `there` says whether the tree has a file below a path.
    pub(crate) fn dropped(&self, path: &str, there: impl Fn(&str) -> bool) -> Vec<Dropped> {
        let Some(below) = path.strip_prefix("kubernetes/apps/") else {
            return self.blank(&format!("root/{path}")).into_iter().collect();
        };
        let mut parts = below.splitn(3, '/');
        let namespace = parts.next().unwrap_or_default();
        let name = parts.next().filter(|_| below != format!("{namespace}/namespace.yaml"));
        let Some(name) = name else {
            let of_namespace = format!("apps/{namespace}");
            let apps = self.below(&of_namespace).filter_map(|(_, file)| file.strip_suffix("/app.yaml"));
            return apps.filter_map(|name| self.off(namespace, name)).collect();
        };
        if !there(&format!("kubernetes/apps/{namespace}/{name}/")) {
            return self.off(namespace, name).into_iter().collect();
        }
        let file = parts.next().unwrap_or_default();
        self.blank(&format!("apps/{namespace}/{name}/files/{file}")).into_iter().collect()
    }

    /// An application with a condition.
    fn off(&self, namespace: &str, name: &str) -> Option<Dropped> {
        let Template { text, origin, .. } = self.get(&format!("apps/{namespace}/{name}/app.yaml"))?;
        let document = documents::read(text).ok()?.into_iter().next()?;
        let condition = document.value["when"].as_str()?.to_owned();
        Some(Dropped {
            what: format!("`{namespace}/{name}`"),
            template: origin.clone(),
            spot: document.value_place("/when"),
            condition: Some(condition),
        })
    }

    /// A template, with its first condition.
    fn blank(&self, path: &str) -> Option<Dropped> {
        let Template { text, origin, .. } = self.get(path)?;
        let found = text.match_indices("#%").find_map(|(at, _)| {
            let inner = text[at + 2..].split("%#").next()?;
            let condition = inner.trim().strip_prefix("if ")?;
            let start = at + 2 + inner.find(condition)?;
            Some((condition.to_owned(), Spot::of(text, start..start + condition.len())))
        });
        let (condition, spot) =
            found.map_or((None, Spot::WHOLE), |(condition, spot)| (Some(condition), spot));
        Some(Dropped { what: format!("`{path}`"), template: origin.clone(), spot, condition })
    }
}
