//! What an expression sees and what is remembered between the expressions of one request.

use std::rc::Rc;

use super::value::{List, Value};
use super::{EvalError, Fuel, Loaded};
use crate::ir::{Cel, PodContainers, Root};
use crate::json::Json;
use crate::policy::Admission;

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
    /// `params`: the parameters of the pack whose expression is evaluated; see [`Scope::set_pack`].
    pub params: Value<'a>,
    /// `pack`: name and version of that pack.
    pub pack: Value<'a>,
    /// The pod under review, for `pod.allContainers` and `pod.mainContainers`; `None` makes those an error.
    pub pod: Option<&'a Json<'a>>,
}

/// The state of one request's evaluations: roots, budget, slots, and the shared expressions already evaluated.
#[derive(Debug)]
pub struct Scope<'a> {
    pub(super) env: Env<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) fuel: Fuel,
    pub(super) depth: u32,
    shared: &'a [Cel],
    cache: Vec<Option<Result<Value<'a>, EvalError>>>,
    containers: [Option<List<'a>>; 2],
    slots: Vec<Value<'a>>,
    frame: usize,
}

impl<'a> Scope<'a> {
    /// A fresh scope. `loaded` must have been made of `admission`.
    #[must_use]
    pub fn new(admission: &'a Admission, loaded: &'a Loaded, env: Env<'a>, fuel: Fuel) -> Self {
        Self {
            env,
            loaded,
            fuel,
            depth: 0,
            shared: &admission.shared,
            cache: Vec::new(),
            containers: [None, None],
            slots: Vec::new(),
            frame: 0,
        }
    }

    /// The budget, to be looked at after evaluation.
    #[must_use]
    pub const fn fuel(&self) -> &Fuel {
        &self.fuel
    }

    /// Gives the next expressions a budget of their own.
    pub fn set_fuel(&mut self, fuel: Fuel) {
        self.fuel = fuel;
    }

    /// Names the pack whose expressions come next. Shared expressions that read `params` or `pack` are forgotten, because
    /// another pack's parameters may differ.
    pub fn set_pack(&mut self, params: Value<'a>, pack: Value<'a>) {
        self.env.params = params;
        self.env.pack = pack;
        for (cached, reads_pack) in self.cache.iter_mut().zip(&self.loaded.shared_reads_pack) {
            if *reads_pack {
                *cached = None;
            }
        }
    }

    pub(super) fn root(&self, root: Root) -> Value<'a> {
        let or_null = |json: Option<&'a Json<'a>>| json.map_or(Value::Null, Value::from);
        match root {
            Root::Object => self.env.object.into(),
            Root::OldObject => or_null(self.env.old_object),
            Root::Request => self.env.request.into(),
            Root::Params => self.env.params.clone(),
            Root::NamespaceObject => or_null(self.env.namespace_object),
            Root::Pack => self.env.pack.clone(),
        }
    }

    /// The variable of a macro; the loader has checked that every slot is within the frame.
    pub(super) fn slot(&self, slot: u16) -> Result<&Value<'a>, EvalError> {
        self.slots
            .get(self.frame + usize::from(slot))
            .ok_or_else(|| EvalError::invalid(format!("slot {slot} is not in the frame")))
    }

    pub(super) fn set_slot(&mut self, slot: u16, value: Value<'a>) -> Result<(), EvalError> {
        match self.slots.get_mut(self.frame + usize::from(slot)) {
            Some(place) => {
                *place = value;
                Ok(())
            }
            None => Err(EvalError::invalid(format!("slot {slot} is not in the frame"))),
        }
    }

    /// Runs `body` with a fresh frame of this many slots.
    pub(super) fn with_frame<T>(&mut self, slots: u16, body: impl FnOnce(&mut Self) -> T) -> T {
        let caller = self.frame;
        self.frame = self.slots.len();
        self.slots.resize(self.frame + usize::from(slots), Value::Null);
        let result = body(self);
        self.slots.truncate(self.frame);
        self.frame = caller;
        result
    }

    /// The value of `variables.NAME`, evaluated at most once. Errors are remembered too, but for limits: the next budget
    /// may not have met one, and a remembered limit could be absorbed.
    pub(super) fn shared(&mut self, index: u32) -> Result<Value<'a>, EvalError> {
        let at = index as usize;
        if let Some(Some(known)) = self.cache.get(at) {
            return known.clone();
        }
        let all = self.shared;
        let cel = all
            .get(at)
            .ok_or_else(|| EvalError::invalid(format!("shared expression {index} is not there")))?;
        let result = self.with_frame(cel.slots, |scope| super::eval::node(&cel.expr, scope));
        if !self.fuel.exhausted() {
            if self.cache.len() <= at {
                self.cache.resize(at + 1, None);
            }
            if let Some(place) = self.cache.get_mut(at) {
                *place = Some(result.clone());
            }
        }
        result
    }

    /// `pod.allContainers` or `pod.mainContainers`, gathered once.
    pub(super) fn containers(&mut self, which: PodContainers) -> Result<List<'a>, EvalError> {
        let fields: &[&str] = match which {
            PodContainers::All => &["initContainers", "containers", "ephemeralContainers"],
            PodContainers::Main => &["initContainers", "containers"],
        };
        let at = usize::from(which == PodContainers::Main);
        if let Some(Some(known)) = self.containers.get(at) {
            return Ok(known.clone());
        }
        let pod = self.env.pod.ok_or_else(|| EvalError::invalid("there is no pod under review"))?;
        let spec = pod.get("spec").ok_or_else(|| EvalError::no_such_key("spec"))?;
        let mut all = Vec::new();
        for field in fields {
            match spec.get(field) {
                None | Some(Json::Null) => {}
                Some(Json::List(items)) => all.extend(items),
                // A pod that no API server would store: to read it as "no containers" would let it pass.
                Some(_) => {
                    return Err(EvalError::invalid(format!("field `{field}` of the pod is not a list")));
                }
            }
        }
        self.fuel.spend_elements(all.len())?;
        let list = List::Refs(Rc::from(all));
        if let Some(place) = self.containers.get_mut(at) {
            *place = Some(list.clone());
        }
        Ok(list)
    }
}
