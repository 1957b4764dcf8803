//! What the program calls.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;
use syn::{Expr, Item, ItemFn};

use super::names::{Scope, flattened, macros, type_arguments, type_parameters, words};

/// What one function of the program calls.
struct Calls<'s> {
    scope: &'s Scope,
    macros: &'s BTreeMap<String, Vec<String>>,
    /// By name. `?T` stands for the function's type parameter `T`.
    direct: Vec<String>,
    /// Functions of the program that are called with type arguments, and these.
    generic: Vec<(Vec<String>, Vec<String>)>,
}

impl<'ast> Visit<'ast> for Calls<'_> {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(function) = &*call.func {
            self.path(function);
        }
        syn::visit::visit_expr_call(self, call);
    }

    /// A macro of the program: its first word is the type whose functions it calls.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let input = flattened(call.tokens.clone());
        let body = self.macros.get(&words(&call.path).concat());
        if let (Some(body), Some(ty)) = (body, input.first()) {
            let ty = self.scope.name(core::slice::from_ref(ty));
            let calls = body.windows(6).filter_map(|tokens| match tokens {
                [dollar, _, first, second, name, open]
                    if [dollar, first, second, open] == ["$", ":", ":", "("] =>
                {
                    Some(format!("{ty}::{name}"))
                }
                _ => None,
            });
            self.direct.extend(calls);
        }
    }
}

impl Calls<'_> {
    fn path(&mut self, function: &syn::ExprPath) {
        let path = words(&function.path);
        if let (Some(own), [.., name]) = (&function.qself, path.as_slice()) {
            let mut of_trait = function.path.clone();
            of_trait.segments.pop();
            let ty = self.scope.type_name(&own.ty);
            let of_trait = self.scope.trait_name(&of_trait);
            self.direct.push(format!("<{ty} as {of_trait}>::{name}"));
            return;
        }
        match path.as_slice() {
            [before @ .., ty, name] if ty.starts_with(char::is_uppercase) => {
                let ty: Vec<String> = before.iter().chain([ty]).cloned().collect();
                self.direct
                    .push(format!("{}::{name}", self.scope.name(&ty)));
            }
            _ => self.direct.push(self.scope.name(&path)),
        }
        if let Some(last) = function.path.segments.last() {
            let arguments = type_arguments(&last.arguments).into_iter();
            let arguments = arguments.map(|ty| self.scope.type_name(ty)).collect();
            self.generic.push((self.scope.absolute(&path), arguments));
        }
    }
}

/// A function of the program: its type parameters and what it calls.
struct Function {
    parameters: Vec<String>,
    direct: Vec<String>,
    generic: Vec<(Vec<String>, Vec<String>)>,
}

/// All calls in the program. A call of `helper::<Type>(…)` is one of all that `helper` calls through
/// its type parameter.
pub(crate) fn calls(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut functions = BTreeMap::new();
    for (name, text) in sources {
        let file = syn::parse_file(text).expect("a file that compiles");
        let mut scope = Scope::new("program", name, &file);
        let macros = macros(&file.items).collect();
        for item in &file.items {
            if let Item::Fn(item) = item {
                let function = Function::new(&mut scope, &macros, item);
                let name = scope.absolute(&[item.sig.ident.to_string()]);
                functions.insert(name, function);
            }
        }
    }
    let mut called = BTreeSet::new();
    let mut open: Vec<(Vec<String>, Vec<String>)> = functions
        .keys()
        .map(|name| (name.clone(), Vec::new()))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some((name, arguments)) = open.pop() {
        let Some(function) = functions.get(&name) else {
            continue;
        };
        if seen.insert((name, arguments.clone())) {
            let bound = |text: &String| {
                let pairs = function.parameters.iter().zip(&arguments);
                pairs.fold(text.clone(), |text, (parameter, argument)| {
                    text.replace(&format!("<?{parameter} as"), &format!("<{argument} as"))
                })
            };
            let direct = function.direct.iter().map(bound);
            called.extend(direct.filter(|name| !name.contains('?')));
            for (name, inner) in &function.generic {
                let inner = inner.iter().map(|argument| {
                    let place = function
                        .parameters
                        .iter()
                        .position(|name| *argument == format!("?{name}"));
                    place
                        .and_then(|place| arguments.get(place))
                        .unwrap_or(argument)
                        .clone()
                });
                open.push((name.clone(), inner.collect()));
            }
        }
    }
    called
}

impl Function {
    fn new(scope: &mut Scope, macros: &BTreeMap<String, Vec<String>>, item: &ItemFn) -> Self {
        scope.parameters = type_parameters(&item.sig.generics);
        let mut calls = Calls {
            scope,
            macros,
            direct: Vec::new(),
            generic: Vec::new(),
        };
        calls.visit_item_fn(item);
        let (direct, generic) = (calls.direct, calls.generic);
        Self {
            parameters: core::mem::take(&mut scope.parameters),
            direct,
            generic,
        }
    }
}
