//! What an expression sees, and what is remembered between the expressions of one request.

use std::rc::Rc;

use super::functions::authorizer::Authorization;
use super::value::{List, Map, Value};
use super::{EvalError, Fuel, Loaded};
use crate::authorization::{Questions, Resource, What, Who};
use crate::ir::{PodContainers, Root};
use crate::json::Json;

/// The root variables of a request.
#[derive(Clone, Debug)]
pub struct Env<'a> {
    /// `object`; null on DELETE.
    pub object: &'a Json<'a>,
    /// `oldObject`; `None` reads as null.
    pub old_object: Option<&'a Json<'a>>,
    /// `request`.
    pub request: &'a Json<'a>,
    /// `namespaceObject`; `None` reads as null.
    pub namespace_object: Option<&'a Json<'a>>,
    /// The source of the authorizer's answers; `None`: no question can be asked.
    pub authorizer: Option<&'a Questions<'a>>,
    /// The pod under review, for `pod.allContainers` and `pod.mainContainers`; `None` makes those an error.
    pub pod: Option<&'a Json<'a>>,
}

impl<'a> Env<'a> {
    /// An object and a request, and nothing else.
    #[must_use]
    pub const fn of(object: &'a Json<'a>, request: &'a Json<'a>) -> Self {
        Self { object, old_object: None, request, namespace_object: None, authorizer: None, pod: None }
    }
}

/// The root variables of a tool call.
#[derive(Clone, Debug)]
pub struct CallEnv<'a> {
    /// `call`: an object with `tool` and `args`.
    pub call: &'a Json<'a>,
    /// Whether `call.args` are known from `call`.
    pub arguments: Arguments,
    /// `subject`.
    pub subject: Value<'a>,
    /// `session`.
    pub session: Value<'a>,
    /// `facts`; may hold opaque values.
    pub facts: Value<'a>,
    /// `now`.
    pub now: Value<'a>,
    /// `result`; null if there is none yet. May hold opaque values.
    pub result: Value<'a>,
}

/// Whether the arguments of a call are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// They are.
    Known,
    /// A tool is listed without a call: `call.args` is opaque, and so should be everything else in the
    /// environment that is unknown. Opaque then means "may be anything" instead of "not understood by a
    /// parser". So `isOpaque` has no answer, and a condition may be left open where both branches have the
    /// same value.
    Unknown,
}

/// The variables of the decision.
#[derive(Debug)]
enum Roots<'a> {
    Admission(Env<'a>),
    Call(Box<CallEnv<'a>>),
}

/// The state of one request's evaluations: roots, budget, slots, and the shared expressions already
/// evaluated.
#[derive(Debug)]
pub struct Scope<'a> {
    roots: Roots<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) fuel: Fuel,
    absorbed: Option<EvalError>,
    cache: Vec<Option<Result<Value<'a>, EvalError>>>,
    containers: [Option<List<'a>>; 2],
    slots: Vec<Value<'a>>,
    /// Variables of `cel.bind` whose value is an error, by their places in `slots`.
    failed: Vec<(usize, EvalError)>,
    /// Variables that `isOpaque` was asked about since they were bound, by their places in `slots`.
    asked: Vec<usize>,
    frame: usize,
    /// Leaves every condition to the general evaluator.
    #[cfg(test)]
    pub(super) takes_the_long_way: bool,
}

impl<'a> Scope<'a> {
    /// A new scope over an admission request, for expressions that `loaded` has prepared.
    #[must_use]
    pub fn new(loaded: &'a Loaded, env: Env<'a>, fuel: Fuel) -> Self {
        Self::over(Roots::Admission(env), loaded, fuel)
    }

    /// A new scope over a tool call, for expressions that `loaded` has prepared.
    #[must_use]
    pub fn of_call(loaded: &'a Loaded, env: CallEnv<'a>, fuel: Fuel) -> Self {
        Self::over(Roots::Call(Box::new(env)), loaded, fuel)
    }

    fn over(roots: Roots<'a>, loaded: &'a Loaded, fuel: Fuel) -> Self {
        Self {
            roots,
            loaded,
            fuel,
            absorbed: None,
            cache: Vec::new(),
            containers: [None, None],
            slots: Vec::new(),
            failed: Vec::new(),
            asked: Vec::new(),
            frame: 0,
            #[cfg(test)]
            takes_the_long_way: false,
        }
    }

    /// The budget, to be checked after evaluation.
    #[must_use]
    pub const fn fuel(&self) -> &Fuel {
        &self.fuel
    }

    /// Gives the next expressions a budget of their own, and forgets what earlier ones read.
    pub fn set_fuel(&mut self, fuel: Fuel) {
        self.fuel = fuel;
        self.absorbed = None;
    }

    /// An error that `||`, `&&`, `exists` or `all` absorbed while a call was judged, of an opaque value before
    /// any other. A grant in which one did so grants nothing.
    #[must_use]
    pub const fn absorbed(&self) -> Option<&EvalError> {
        self.absorbed.as_ref()
    }

    /// Whether what was absorbed is the use of an opaque value.
    #[must_use]
    pub const fn read_opaque(&self) -> bool {
        matches!(self.absorbed, Some(EvalError::Opaque))
    }

    /// Remembers an error before it is absorbed. Only conditions of calls grant anything.
    pub(super) fn note(&mut self, error: &EvalError) {
        let first = self.absorbed.is_none() && self.may_hold_opaque();
        if first || matches!(error, EvalError::Opaque) {
            self.absorbed = Some(error.clone());
        }
    }

    /// Whether any value can be opaque: values from an admission request never are.
    pub(super) const fn may_hold_opaque(&self) -> bool {
        matches!(self.roots, Roots::Call(_))
    }

    /// Whether opaque values represent what is not known yet, see [`Arguments::Unknown`].
    pub(super) fn has_unknowns(&self) -> bool {
        matches!(&self.roots, Roots::Call(env) if env.arguments == Arguments::Unknown)
    }

    /// The value of a root variable that is kept as one.
    pub(super) const fn root_value(&self, root: Root) -> Option<&Value<'a>> {
        match (&self.roots, root) {
            (Roots::Call(env), Root::Subject) => Some(&env.subject),
            (Roots::Call(env), Root::Session) => Some(&env.session),
            (Roots::Call(env), Root::Facts) => Some(&env.facts),
            (Roots::Call(env), Root::Now) => Some(&env.now),
            (Roots::Call(env), Root::Result) => Some(&env.result),
            _ => None,
        }
    }

    /// The value of a root variable; the loader has checked that an expression uses only those of its kind.
    pub(super) fn root(&self, root: Root) -> Result<Value<'a>, EvalError> {
        if let Some(value) = self.root_value(root) {
            return Ok(value.clone());
        }
        let or_null = |json: Option<&'a Json<'a>>| json.map_or(Value::Null, Value::from);
        Ok(match (&self.roots, root) {
            (Roots::Admission(env), Root::Object) => env.object.into(),
            (Roots::Admission(env), Root::OldObject) => or_null(env.old_object),
            (Roots::Admission(env), Root::Request) => env.request.into(),
            (Roots::Admission(env), Root::NamespaceObject) => or_null(env.namespace_object),
            (Roots::Admission(_), Root::Authorizer) => {
                authorization(Authorization::Authorizer(Who::Requester))
            }
            (Roots::Admission(env), Root::RequestResource) => {
                authorization(Authorization::Check(Who::Requester, What::Resource(requested(env.request))))
            }
            (Roots::Call(env), Root::Call) if env.arguments == Arguments::Unknown => {
                let tool = env.call.get("tool").map_or(Value::Null, Value::from);
                let members = [("tool", tool), ("args", Value::Opaque)];
                Value::Map(Map::Owned(members.map(|(key, value)| (Value::Str(key), value)).into()))
            }
            (Roots::Call(env), Root::Call) => env.call.into(),
            _ => return Err(EvalError::invalid(format!("there is no variable {root:?} here"))),
        })
    }

    /// The source of the authorizer's answers.
    pub(super) const fn authorizer(&self) -> Option<&'a Questions<'a>> {
        match &self.roots {
            Roots::Admission(env) => env.authorizer,
            Roots::Call(_) => None,
        }
    }

    /// The JSON of a root variable that is JSON.
    pub(super) fn json(&self, root: Root) -> Option<&'a Json<'a>> {
        match (&self.roots, root) {
            (Roots::Admission(env), Root::Object) => Some(env.object),
            (Roots::Admission(env), Root::OldObject) => env.old_object,
            (Roots::Admission(env), Root::Request) => Some(env.request),
            (Roots::Admission(env), Root::NamespaceObject) => env.namespace_object,
            (Roots::Call(env), Root::Call) if env.arguments == Arguments::Known => Some(env.call),
            _ => None,
        }
    }

    /// The variable of a macro; the loader has checked that every slot is within the frame.
    #[inline]
    pub(super) fn slot(&self, slot: u16) -> Result<&Value<'a>, EvalError> {
        let at = self.frame + usize::from(slot);
        if let Some((_, error)) = self.failed.iter().find(|(failed, _)| *failed == at) {
            return Err(error.clone());
        }
        self.slots.get(at).ok_or_else(|| no_slot(slot))
    }

    /// Gives a variable an error for its value: it is one wherever the variable is used, and nowhere else.
    pub(super) fn fail_slot(&mut self, slot: u16, error: EvalError) -> Result<(), EvalError> {
        self.set_slot(slot, Value::Null)?;
        self.failed.push((self.frame + usize::from(slot), error));
        Ok(())
    }

    /// Remembers that `isOpaque` was asked about a variable.
    pub(super) fn ask(&mut self, slot: u16) {
        let at = self.frame + usize::from(slot);
        if !self.asked.contains(&at) {
            self.asked.push(at);
        }
    }

    /// Whether `isOpaque` was asked about a variable since it was bound.
    pub(super) fn was_asked(&self, slot: u16) -> bool {
        self.asked.contains(&(self.frame + usize::from(slot)))
    }

    #[inline]
    pub(super) fn set_slot(&mut self, slot: u16, value: Value<'a>) -> Result<(), EvalError> {
        let at = self.frame + usize::from(slot);
        if !self.failed.is_empty() {
            self.failed.retain(|(failed, _)| *failed != at);
        }
        if !self.asked.is_empty() {
            self.asked.retain(|asked| *asked != at);
        }
        match self.slots.get_mut(at) {
            Some(place) => {
                *place = value;
                Ok(())
            }
            None => Err(no_slot(slot)),
        }
    }

    /// Runs `body` with a new frame of this many slots.
    pub(super) fn with_frame<T>(&mut self, slots: u16, body: impl FnOnce(&mut Self) -> T) -> T {
        let caller = self.frame;
        self.frame = self.slots.len();
        self.slots.resize(self.frame + usize::from(slots), Value::Null);
        let result = body(self);
        self.slots.truncate(self.frame);
        let end = self.frame;
        self.failed.retain(|(failed, _)| *failed < end);
        self.asked.retain(|asked| *asked < end);
        self.frame = caller;
        result
    }

    /// The value of `variables.NAME`, if its evaluation has given one.
    pub(super) fn known(&self, index: u32) -> Option<&Value<'a>> {
        match self.cache.get(index as usize) {
            Some(Some(Ok(value))) => Some(value),
            _ => None,
        }
    }

    /// The value of `variables.NAME`, evaluated at most once. Errors are remembered too, except limits: the
    /// next budget may not reach one, and a remembered limit could be absorbed. A value in which an error was
    /// absorbed is not remembered: each grant that reads it must see that error.
    pub(super) fn shared(&mut self, index: u32) -> Result<Value<'a>, EvalError> {
        let at = index as usize;
        if let Some(Some(known)) = self.cache.get(at) {
            return known.clone();
        }
        let loaded = self.loaded;
        let known = loaded.shared.get(at);
        let prepared =
            known.ok_or_else(|| EvalError::invalid(format!("shared expression {index} is not there")))?;
        let before = self.absorbed.take();
        let result = self.with_frame(prepared.slots, |scope| super::eval::node(&prepared.root, scope));
        let absorbed = std::mem::replace(&mut self.absorbed, before);
        if let Some(error) = &absorbed {
            self.note(error);
        }
        if !self.fuel.exhausted() && absorbed.is_none() {
            if self.cache.len() <= at {
                self.cache.resize(at + 1, None);
            }
            if let Some(place) = self.cache.get_mut(at) {
                *place = Some(result.clone());
            }
        }
        result
    }

    /// `pod.allContainers` or `pod.mainContainers`, if they were collected.
    pub(super) fn known_containers(&self, which: PodContainers) -> Option<&List<'a>> {
        self.containers.get(place_of(which))?.as_ref()
    }

    /// `pod.allContainers` or `pod.mainContainers`, collected once.
    pub(super) fn containers(&mut self, which: PodContainers) -> Result<List<'a>, EvalError> {
        let fields: &[&str] = match which {
            PodContainers::All => &["initContainers", "containers", "ephemeralContainers"],
            PodContainers::Main => &["initContainers", "containers"],
        };
        if let Some(known) = self.known_containers(which) {
            return Ok(known.clone());
        }
        let pod = match &self.roots {
            Roots::Admission(env) => env.pod,
            Roots::Call(_) => None,
        };
        let pod = pod.ok_or_else(|| EvalError::invalid("there is no pod under review"))?;
        let spec = pod.get("spec").ok_or_else(|| EvalError::no_such_key("spec"))?;
        let mut all = Vec::new();
        for field in fields {
            match spec.get(field) {
                None | Some(Json::Null) => {}
                Some(Json::List(items)) => all.extend(items),
                // A pod that no API server would store: reading it as "no containers" would allow it.
                Some(_) => {
                    return Err(EvalError::invalid(format!("field `{field}` of the pod is not a list")));
                }
            }
        }
        self.fuel.spend_elements(all.len())?;
        let list = List::Refs(Rc::from(all));
        if let Some(place) = self.containers.get_mut(place_of(which)) {
            *place = Some(list.clone());
        }
        Ok(list)
    }
}

/// Where a list of containers is remembered.
const fn place_of(which: PodContainers) -> usize {
    match which {
        PodContainers::All => 0,
        PodContainers::Main => 1,
    }
}

fn authorization<'a>(of: Authorization) -> Value<'a> {
    Value::Authorization(Rc::new(of))
}

/// The resource as the client requested it, not as the API server converted it for a rule that names another
/// version.
fn requested(request: &Json<'_>) -> Resource {
    let text = |path: &[&str]| match request.at(path) {
        Some(Json::Str(text)) => text.to_string(),
        _ => String::new(),
    };
    let sent = request.get("requestResource").is_some_and(|sent| *sent != Json::Null);
    let (resource, subresource) =
        if sent { ("requestResource", "requestSubResource") } else { ("resource", "subResource") };
    Resource {
        group: text(&[resource, "group"]),
        resource: text(&[resource, "resource"]),
        subresource: text(&[subresource]),
        namespace: text(&["namespace"]),
        name: text(&["name"]),
        ..Resource::default()
    }
}

#[cold]
fn no_slot(slot: u16) -> EvalError {
    EvalError::invalid(format!("slot {slot} is not in the frame"))
}
