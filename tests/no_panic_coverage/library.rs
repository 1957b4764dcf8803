//! What a library makes public.

use std::collections::{BTreeMap, BTreeSet};

use syn::punctuated::Punctuated;
use syn::{Attribute, ImplItem, Item, ItemImpl, Token, TraitItem, Visibility};

use super::EXCLUDED_TRAITS;
use super::names::{Scope, flattened, macros, type_parameters, words};

/// The functions of the traits that can be derived.
const DERIVED: &[(&str, &str)] = &[
    ("Clone", "clone"),
    ("Debug", "fmt"),
    ("Default", "default"),
    ("Hash", "hash"),
    ("Ord", "cmp"),
    ("PartialEq", "eq"),
    ("PartialOrd", "partial_cmp"),
];

/// What `bitflags!` writes for each type: functions of its own, and of traits.
const BITFLAGS: &[&str] = &[
    "all",
    "bits",
    "complement",
    "contains",
    "difference",
    "empty",
    "from_bits",
    "from_bits_retain",
    "from_bits_truncate",
    "from_name",
    "insert",
    "intersection",
    "intersects",
    "is_all",
    "is_empty",
    "iter",
    "iter_names",
    "remove",
    "set",
    "symmetric_difference",
    "toggle",
    "union",
];
const BITFLAGS_TRAITS: &[(&str, &str)] = &[
    ("Binary", "fmt"),
    ("BitAnd", "bitand"),
    ("BitAndAssign", "bitand_assign"),
    ("BitOr", "bitor"),
    ("BitOrAssign", "bitor_assign"),
    ("BitXor", "bitxor"),
    ("BitXorAssign", "bitxor_assign"),
    ("Extend", "extend"),
    ("FromIterator", "from_iter"),
    ("IntoIterator", "into_iter"),
    ("LowerHex", "fmt"),
    ("Not", "not"),
    ("Octal", "fmt"),
    ("Sub", "sub"),
    ("SubAssign", "sub_assign"),
    ("UpperHex", "fmt"),
];

/// What a library makes public.
#[derive(Default)]
pub(crate) struct Library {
    pub(crate) functions: BTreeSet<String>,
    pub(crate) excluded_traits: BTreeSet<String>,
    /// The functions of each trait, and whether they are provided.
    traits: BTreeMap<String, Vec<(String, bool)>>,
    private_types: BTreeSet<String>,
    /// What stands between the braces of each `macro_rules!`.
    macros: BTreeMap<String, Vec<String>>,
}

impl Library {
    pub(crate) fn parse(sources: &[(String, String)]) -> Self {
        let mut files: Vec<(Scope, syn::File)> = sources
            .iter()
            .map(|(name, text)| {
                let file = syn::parse_file(text).expect("a file that compiles");
                (Scope::new("ipencap", name, &file), file)
            })
            .collect();
        let mut library = Self::default();
        for (scope, file) in &files {
            library.declarations(scope, &file.items);
        }
        for (scope, file) in &mut files {
            library.items(scope, &file.items);
        }
        library
    }

    /// What other files refer to.
    fn declarations(&mut self, scope: &Scope, items: &[Item]) {
        self.macros.extend(macros(items));
        for item in items {
            match item {
                Item::Struct(item) if !is_public(&item.vis) => self.private(scope, &item.ident),
                Item::Enum(item) if !is_public(&item.vis) => self.private(scope, &item.ident),
                Item::Trait(item) => {
                    let functions = item.items.iter().filter_map(|item| match item {
                        TraitItem::Fn(function) => {
                            Some((function.sig.ident.to_string(), function.default.is_some()))
                        }
                        _ => None,
                    });
                    self.traits
                        .insert(item.ident.to_string(), functions.collect());
                }
                _ => {}
            }
        }
    }

    fn private(&mut self, scope: &Scope, name: &syn::Ident) {
        self.private_types.insert(scope.name(&[name.to_string()]));
    }

    fn items(&mut self, scope: &mut Scope, items: &[Item]) {
        for item in items {
            match item {
                Item::Fn(item) if is_public(&item.vis) => {
                    self.functions
                        .insert(scope.name(&[item.sig.ident.to_string()]));
                }
                Item::Struct(item) if is_public(&item.vis) => {
                    self.derives(scope, &item.ident, &item.attrs);
                }
                Item::Enum(item) if is_public(&item.vis) => {
                    self.derives(scope, &item.ident, &item.attrs);
                }
                Item::Trait(item) if is_public(&item.vis) => {
                    let name = item.ident.to_string();
                    for (function, provided) in self.traits[&name].clone() {
                        if provided {
                            self.functions
                                .insert(format!("<Custom as {name}>::{function}"));
                        }
                    }
                }
                Item::Impl(item) => {
                    scope.parameters = type_parameters(&item.generics);
                    self.implementation(scope, item);
                    scope.parameters.clear();
                }
                Item::Macro(item) if item.ident.is_none() => self.written_by_macro(scope, item),
                Item::Mod(item) if !is_test(&item.attrs) => {
                    let items = item.content.as_ref().map(|(_, items)| items.as_slice());
                    self.items(scope, items.unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    fn implementation(&mut self, scope: &Scope, item: &ItemImpl) {
        let ty = scope.type_name(&item.self_ty);
        if self.private_types.contains(&ty) {
            return;
        }
        let functions = item.items.iter().filter_map(|item| match item {
            ImplItem::Fn(function) => Some(function),
            _ => None,
        });
        let Some((_, path, _)) = &item.trait_ else {
            let public = functions.filter(|function| is_public(&function.vis));
            self.functions
                .extend(public.map(|function| format!("{ty}::{}", function.sig.ident)));
            return;
        };
        let mut name = scope.trait_name(path);
        if self.is_excluded(&name) {
            return;
        }
        // A trait of the library is the same whatever its type arguments.
        if let Some(own) = name
            .split('<')
            .next()
            .filter(|own| self.traits.contains_key(*own))
        {
            name = own.to_owned();
        }
        // A trait of the library: also the functions that are not overridden.
        if self.traits.contains_key(&name) {
            return self.implemented(&ty, &name);
        }
        for function in functions {
            let function = &function.sig.ident;
            self.functions
                .insert(format!("<{ty} as {name}>::{function}"));
        }
    }

    fn derives(&mut self, scope: &Scope, ty: &syn::Ident, attributes: &[Attribute]) {
        let ty = scope.name(&[ty.to_string()]);
        let hides = self.private_types.contains(&ty);
        assert!(!hides, "a private type has the name of the public {ty}");
        for attribute in attributes {
            if attribute.path().is_ident("derive") {
                let traits = attribute
                    .parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated)
                    .expect("a list of traits");
                for path in traits {
                    let name = words(&path).pop().unwrap_or_default();
                    self.derive(&ty, &name);
                }
            }
        }
    }

    fn derive(&mut self, ty: &str, name: &str) {
        if self.is_excluded(name) {
            return;
        }
        let (_, function) = DERIVED
            .iter()
            .find(|(derived, _)| *derived == name)
            .unwrap_or_else(|| {
                panic!("what does {name}, derived for {ty}, have? Say it in DERIVED")
            });
        self.functions
            .insert(format!("<{ty} as {name}>::{function}"));
    }

    fn is_excluded(&mut self, name: &str) -> bool {
        let excluded = EXCLUDED_TRAITS
            .iter()
            .any(|(excluded, _)| *excluded == name);
        if excluded {
            self.excluded_traits.insert(name.to_owned());
        }
        excluded
    }

    fn written_by_macro(&mut self, scope: &Scope, item: &syn::ItemMacro) {
        let name = words(&item.mac.path).pop().unwrap_or_default();
        let input = flattened(item.mac.tokens.clone());
        let body = self.macros.get(&name).cloned().unwrap_or_default();
        match name.as_str() {
            "outer_policies" => {
                let ty = scope.name(&[input[0].clone()]);
                self.methods(&ty, &body);
            }
            "numbered" => {
                let ty = scope.name(&[behind("enum", &input)[0].clone()]);
                self.methods(&ty, &body);
                self.derive_all(&ty, &body);
                self.functions.insert(format!("<{ty} as Display>::fmt"));
            }
            "setters" => {
                let ty = scope.name(&["Ipv4Header".to_owned()]);
                for pair in input.windows(2).filter(|pair| pair[1] == "(") {
                    self.functions.insert(format!("{ty}::{}", pair[0]));
                }
            }
            "bitflags" => {
                // One struct after the other: each with its attributes in front.
                for one in input.split_inclusive(|word| word == "}") {
                    let Some(place) = one.windows(2).position(|pair| pair == ["pub", "struct"])
                    else {
                        continue;
                    };
                    let ty = scope.name(&[one[place + 2].clone()]);
                    self.derive_all(&ty, one);
                    let own = BITFLAGS.iter().map(|function| format!("{ty}::{function}"));
                    self.functions.extend(own);
                    let traits = BITFLAGS_TRAITS.iter();
                    self.functions.extend(
                        traits.map(|(name, function)| format!("<{ty} as {name}>::{function}")),
                    );
                }
            }
            "template_layer" => {
                let ty = scope.name(&[input[0].clone()]);
                self.implemented(&ty, "TemplateLayer");
            }
            "layered" => {
                let ty = scope.name(&[input[0].clone()]);
                self.implemented(&ty, "Layered");
                let layer = scope.name(&["Layer".to_owned()]);
                self.functions
                    .insert(format!("<{layer} as From<{}>>::from", input[0]));
            }
            _ => panic!("what does {name}! make public? Say it in this test"),
        }
    }

    /// The functions of one of the library's traits.
    fn implemented(&mut self, ty: &str, name: &str) {
        for (function, _) in self.traits[name].clone() {
            self.functions
                .insert(format!("<{ty} as {name}>::{function}"));
        }
    }

    /// The methods that the body of a macro writes as they stand.
    fn methods(&mut self, ty: &str, body: &[String]) {
        for (place, word) in body.iter().enumerate() {
            let before: Vec<&str> = body[..place]
                .iter()
                .rev()
                .map(String::as_str)
                .take(2)
                .collect();
            if word == "fn" && matches!(before.as_slice(), ["pub", ..] | ["const", "pub"]) {
                self.functions.insert(format!("{ty}::{}", body[place + 1]));
            }
        }
    }

    fn derive_all(&mut self, ty: &str, words: &[String]) {
        for (place, _) in words
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair == &["derive", "("])
        {
            let derived = words[place + 2..].iter().take_while(|word| *word != ")");
            // Of `defmt::Format` the last part.
            for name in derived.filter(|word| word.starts_with(char::is_uppercase)) {
                self.derive(ty, name);
            }
        }
    }
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn behind<'w>(word: &str, words: &'w [String]) -> &'w [String] {
    let place = words.iter().position(|other| other == word);
    &words[place.expect("a word that is there") + 1..]
}
