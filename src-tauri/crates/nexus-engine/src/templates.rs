//! The templates for work in a folder: those that come with NEXUS and the folder's own.

use crate::{EngineError, ErrorKind};
use nexus_core::{Field, FieldKind, Filled, Plan, Template};
use nexus_workspace::{BrokenTemplate, Folder, templates};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What can be filled in for a folder, or for any.
#[derive(Clone, Debug)]
pub struct Templates {
    /// One that a broken file would have replaced is not among them.
    pub usable: Vec<Template>,
    pub broken: Vec<BrokenTemplate>,
    /// The ways in which the path of the folder is written.
    folder: Vec<PathBuf>,
}

impl Templates {
    /// Those for work anywhere.
    pub(crate) fn anywhere() -> Self {
        Self {
            usable: Template::built_in(),
            broken: Vec::new(),
            folder: Vec::new(),
        }
    }

    /// Those for work in a folder, which was named with this path.
    pub(crate) fn of(folder: &Folder, named: &Path) -> Self {
        let (own, broken) = templates(&folder.path);
        let mut usable = Template::with_own(own);
        usable.retain(|template| !broken.iter().any(|file| is_of(file, &template.name)));
        Self {
            usable,
            broken,
            folder: vec![folder.path.clone(), named.to_owned()],
        }
    }

    /// The template of this name.
    pub fn find(&self, name: &str) -> Result<&Template, EngineError> {
        if let Some(found) = self.usable.iter().find(|template| template.name == name) {
            return Ok(found);
        }
        if let Some(broken) = self.broken.iter().find(|file| is_of(file, name)) {
            let message = format!(
                "failed to read the template {}: {}",
                broken.file, broken.problem
            );
            return Err(EngineError::new(ErrorKind::BadInput, message));
        }
        let names: Vec<_> = self
            .usable
            .iter()
            .map(|template| template.name.as_str())
            .collect();
        let message = format!(
            "there is no template `{name}`; there are {}",
            names.join(", ")
        );
        Err(EngineError::new(ErrorKind::NotFound, message))
    }

    /// Fills a template in; a place in the folder may be given with its whole path.
    pub fn fill(
        &self,
        name: &str,
        fields: &BTreeMap<String, String>,
    ) -> Result<Filled, EngineError> {
        let template = self.find(name)?;
        Ok(template.fill(&self.relative(template, fields))?)
    }

    /// The plan of a template for a wish that the person worded.
    pub fn plan(
        &self,
        name: &str,
        fields: &BTreeMap<String, String>,
    ) -> Result<Option<Plan>, EngineError> {
        let template = self.find(name)?;
        Ok(template.plan_for(&self.relative(template, fields))?)
    }

    /// The fields with every place as the project names it.
    fn relative(
        &self,
        template: &Template,
        fields: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let names_places =
            |field: &Field| matches!(field.kind, FieldKind::Folder | FieldKind::Files);
        let fields = fields.iter().map(|(name, value)| {
            let value = match template.field(name).filter(|field| names_places(field)) {
                Some(_) => self.inside(value),
                None => value.clone(),
            };
            (name.clone(), value)
        });
        fields.collect()
    }

    fn inside(&self, lines: &str) -> String {
        let line = |line: &str| {
            let path = Path::new(line.trim());
            let mut folders = self.folder.iter();
            let inside = folders.find_map(|folder| path.strip_prefix(folder).ok());
            inside.unwrap_or(path).to_string_lossy().into_owned()
        };
        lines.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Is this the file of the template of this name?
fn is_of(broken: &BrokenTemplate, name: &str) -> bool {
    let file = Path::new(&broken.file);
    file.extension().is_some() && file.file_stem().is_some_and(|stem| stem == name)
}
