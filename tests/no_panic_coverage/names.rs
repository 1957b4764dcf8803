//! What names and tokens mean in a source file.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::{GenericArgument, Generics, Item, PathArguments, Type, UseTree};

/// What names mean in one source file.
pub(crate) struct Scope {
    /// The path of the file's module, the crate first.
    module: Vec<String>,
    imported: BTreeMap<String, Vec<String>>,
    /// The type parameters of the function or implementation at hand.
    pub(crate) parameters: Vec<String>,
}

impl Scope {
    pub(crate) fn new(crate_name: &str, file_name: &str, file: &syn::File) -> Self {
        let mut module = vec![crate_name.to_owned()];
        module.extend(
            file_name
                .trim_end_matches(".rs")
                .split('/')
                .filter(|part| !matches!(*part, "lib" | "main" | "mod"))
                .map(str::to_owned),
        );
        let mut scope = Self {
            module,
            imported: BTreeMap::new(),
            parameters: Vec::new(),
        };
        for item in &file.items {
            if let Item::Use(item) = item {
                scope.import(&mut Vec::new(), &item.tree);
            }
        }
        scope
    }

    fn import(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(before, tree);
                }
            }
            UseTree::Name(name) => {
                let mut path = before.clone();
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                let last = path.last().cloned().unwrap_or_default();
                let path = self.absolute(&path);
                self.imported.insert(last, path);
            }
            UseTree::Rename(rename) => {
                let mut path = before.clone();
                path.push(rename.ident.to_string());
                let path = self.absolute(&path);
                self.imported.insert(rename.rename.to_string(), path);
            }
            UseTree::Glob(_) => {}
        }
    }

    /// A path from a crate on.
    pub(crate) fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut module = self.module.clone();
        let mut rest = path;
        while let [first, behind @ ..] = rest {
            match first.as_str() {
                "crate" => module.truncate(1),
                "super" => drop(module.pop()),
                "self" => {}
                "core" | "ipencap" => module.clear(),
                _ => break,
            }
            rest = behind;
            if matches!(first.as_str(), "core" | "ipencap") {
                module.push(first.clone());
            }
        }
        if rest.len() == path.len() {
            if let Some(imported) = rest.first().and_then(|first| self.imported.get(first)) {
                return imported.iter().chain(&rest[1..]).cloned().collect();
            }
        }
        module.into_iter().chain(rest.iter().cloned()).collect()
    }

    /// `module::Name` for the library's, `Name` for all others.
    pub(crate) fn name(&self, path: &[String]) -> String {
        let path = self.absolute(path);
        match path.as_slice() {
            [first, module, .., last] if first == "ipencap" => format!("{module}::{last}"),
            [.., last] => last.clone(),
            [] => String::new(),
        }
    }

    pub(crate) fn type_name(&self, ty: &Type) -> String {
        match ty {
            Type::Path(ty) => match words(&ty.path).as_slice() {
                [only] if self.parameters.contains(only) => format!("?{only}"),
                path => self.name(path),
            },
            Type::Reference(_) => "&".to_owned(),
            Type::Tuple(tuple) if tuple.elems.is_empty() => "()".to_owned(),
            Type::Slice(_) => "[_]".to_owned(),
            Type::Array(_) => "[_; _]".to_owned(),
            Type::Paren(inner) => self.type_name(&inner.elem),
            _ => "another type".to_owned(),
        }
    }

    /// The trait with its type arguments, but for those that are the type parameters at hand.
    pub(crate) fn trait_name(&self, path: &syn::Path) -> String {
        let Some(last) = path.segments.last() else {
            return String::new();
        };
        let arguments: Vec<String> = type_arguments(&last.arguments)
            .iter()
            .map(|ty| match ty {
                Type::Path(ty) => words(&ty.path).last().cloned().unwrap_or_default(),
                ty => self.type_name(ty),
            })
            .filter(|name| !self.parameters.contains(name))
            .collect();
        if arguments.is_empty() {
            last.ident.to_string()
        } else {
            format!("{}<{}>", last.ident, arguments.join(", "))
        }
    }
}

pub(crate) fn type_parameters(generics: &Generics) -> Vec<String> {
    let parameters = generics.type_params();
    parameters
        .map(|parameter| parameter.ident.to_string())
        .collect()
}

pub(crate) fn words(path: &syn::Path) -> Vec<String> {
    let segments = path.segments.iter();
    segments.map(|segment| segment.ident.to_string()).collect()
}

pub(crate) fn type_arguments(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return Vec::new();
    };
    let arguments = arguments.args.iter();
    arguments
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
        .collect()
}

/// The `macro_rules!` among these, and what stands between their braces.
pub(crate) fn macros(items: &[Item]) -> impl Iterator<Item = (String, Vec<String>)> {
    items.iter().filter_map(|item| match item {
        Item::Macro(item) => {
            let name = item.ident.as_ref()?.to_string();
            Some((name, flattened(item.mac.tokens.clone())))
        }
        _ => None,
    })
}

/// The tokens in order, those in groups too.
pub(crate) fn flattened(tokens: TokenStream) -> Vec<String> {
    let mut words = Vec::new();
    for tree in tokens {
        if let TokenTree::Group(group) = &tree {
            let text = tree.to_string();
            words.extend(text.chars().next().map(String::from));
            words.extend(flattened(group.stream()));
            words.extend(text.chars().last().map(String::from));
        } else {
            words.push(tree.to_string());
        }
    }
    words
}
