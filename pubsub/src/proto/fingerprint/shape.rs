//! What is known of a type so far, and what is still to be looked at.
//!
//! Each compound (struct, enum, list, …) stands here once however often it is used, so recursive types end. Its
//! *bodies* are what it may hold: one, or one for each variant of an enum. A body has *slots*, one for each value in it,
//! and a slot has what was asked for there: a leaf or another compound.

use std::collections::HashMap;

use smallvec::SmallVec;

/// Values that may be made up for one type in all; a large one takes thousands. A quarter of a second where nothing is
/// optimised.
const MAX_STEPS: u32 = 250_000;
/// Compounds of one type that are told apart; a large protocol has hundreds.
const MAX_COMPOUNDS: usize = 4_096;
/// Compounds within each other that are followed, so that the stack holds: 192 were seen to fit the 2 MiB of a thread
/// without optimisation.
const MAX_DEPTH: usize = 128;
/// Slots of one body that are told apart; those behind (of long arrays) share the last.
const MAX_SLOTS: usize = 1_024;
/// Things that were asked for in one slot: one, but for types that look at a value to decide what comes next.
const MAX_CHILDREN: usize = 8;

/// What a leaf is; the numbers are those of PROTOCOL.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    Bool = 1,
    I8 = 2,
    I16 = 3,
    I32 = 4,
    I64 = 5,
    I128 = 6,
    U8 = 7,
    U16 = 8,
    U32 = 9,
    U64 = 10,
    U128 = 11,
    F32 = 12,
    F64 = 13,
    Char = 14,
    Str = 15,
    Bytes = 16,
    Unit = 17,
    /// Whatever comes: forms that are not self-describing cannot serve it.
    Any = 18,
}

/// What a compound is, with all that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Root,
    Option,
    Seq,
    Map,
    Tuple(usize),
    UnitStruct(&'static str),
    Newtype(&'static str),
    TupleStruct(&'static str, usize),
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
}

/// The form of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Unit,
    Newtype,
    Tuple(usize),
    Struct(&'static [&'static str]),
}

/// Where one of several bodies, or the inside of an option, stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    /// There is more to see.
    #[default]
    New,
    /// Seen, and a value of it can be made.
    Done,
    /// Seen as far as that is possible: a value of it cannot be made.
    Failed,
    /// It ended where a compound contains itself, when so many compounds could be made.
    Cut(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    Leaf(Leaf),
    Compound(usize),
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) children: SmallVec<[Child; 1]>,
    /// Which samples it took.
    pub(super) flavour: usize,
}

#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) form: Option<Form>,
    pub(super) state: State,
    pub(super) slots: Vec<Slot>,
    /// A value in it cannot be made, seen when so many compounds could be: the fields are looked at one by one.
    pub(super) stuck: Option<u64>,
    /// How many fields were.
    pub(super) named: usize,
}

#[derive(Debug)]
pub(super) struct Compound {
    pub(super) kind: Kind,
    pub(super) bodies: Vec<Body>,
    /// How often it is being made now, within itself.
    pub(super) active: usize,
    /// One was made.
    pub(super) made: bool,
    /// The variant that was made first: it needs no other that is not made yet.
    pub(super) good: Option<usize>,
}

impl Compound {
    fn new(kind: Kind) -> Self {
        let bodies = if let Kind::Enum(_, variants) = kind { variants.len() } else { 1 };
        let bodies = std::iter::repeat_with(Body::default).take(bodies).collect();
        Self { kind, bodies, active: 0, made: false, good: None }
    }
}

/// A slot, by its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) compound: usize,
    pub(super) body: usize,
    pub(super) slot: usize,
}

impl At {
    pub(super) const ROOT: Self = Self { compound: 0, body: 0, slot: 0 };
}

/// Why a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    #[error("the type refuses the value")]
    Refused,
    #[error("the type refuses every value")]
    Stuck,
    #[error("the type contains itself")]
    Cut,
    #[error("the type is too large")]
    Spent,
}

impl serde::de::Error for Stop {
    fn custom<M: std::fmt::Display>(_: M) -> Self {
        Self::Refused
    }
}

/// The picture of one type.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) compounds: Vec<Compound>,
    /// By the visitor's name and what it asks for. The name tells types of this process apart; it is not hashed.
    known: HashMap<(&'static str, Kind), usize>,
    /// Grows with everything new.
    pub(super) news: u64,
    /// Grows with every compound and variant that was made for the first time.
    pub(super) made: u64,
    /// Grows whenever a pass ends at a compound that contains itself.
    pub(super) cuts: u64,
    steps: u32,
    depth: usize,
}

impl Default for Shape {
    fn default() -> Self {
        let compounds = vec![Compound::new(Kind::Root)];
        Self { compounds, known: HashMap::new(), news: 0, made: 0, cuts: 0, steps: 0, depth: 0 }
    }
}

impl Shape {
    pub(super) fn is_spent(&self) -> bool {
        self.steps >= MAX_STEPS
    }

    /// Something is asked for in a slot.
    pub(super) fn leaf(&mut self, at: At, leaf: Leaf) -> Result<(), Stop> {
        self.step()?;
        self.note(at, Child::Leaf(leaf));
        Ok(())
    }

    /// A compound is asked for in a slot, by the visitor of this name. Which one it is, and whether it is to be made in
    /// the shortest way, since it is being made already. [`Self::leave`] must follow.
    pub(super) fn enter(&mut self, at: At, visitor: &'static str, kind: Kind) -> Result<(usize, bool), Stop> {
        self.step()?;
        if self.depth >= MAX_DEPTH || self.compounds.len() >= MAX_COMPOUNDS {
            // Perhaps there is a shorter way to it.
            return Err(self.cut());
        }
        let id = *self.known.entry((visitor, kind)).or_insert(self.compounds.len());
        if id == self.compounds.len() {
            self.compounds.push(Compound::new(kind));
            self.news += 1;
        }
        self.note(at, Child::Compound(id));
        let compound = self.compound(id);
        let again = compound.active > 0;
        if again && !compound.made && !matches!(kind, Kind::Option | Kind::Seq | Kind::Map | Kind::Enum(..)) {
            return Err(self.cut());
        }
        compound.active += 1;
        self.depth += 1;
        Ok((id, again))
    }

    /// A compound was made, or not.
    pub(super) fn leave(&mut self, id: usize, made: bool) {
        self.depth -= 1;
        let compound = self.compound(id);
        compound.active -= 1;
        if made && !std::mem::replace(&mut compound.made, true) {
            self.made += 1;
            self.news += 1;
        }
    }

    pub(super) fn cut(&mut self) -> Stop {
        self.cuts += 1;
        Stop::Cut
    }

    /// Ids come from [`Self::enter`] alone.
    #[expect(clippy::indexing_slicing, reason = "ids are places in the list, which never shrinks")]
    pub(super) fn compound(&mut self, id: usize) -> &mut Compound {
        &mut self.compounds[id]
    }

    /// Bodies are as many as the kind says.
    #[expect(clippy::indexing_slicing, reason = "the tracer counts them by the same kind")]
    pub(super) fn body(&mut self, id: usize, body: usize) -> &mut Body {
        &mut self.compound(id).bodies[body]
    }

    pub(super) fn slot(&mut self, at: At) -> Option<&mut Slot> {
        let slots = &mut self.body(at.compound, at.body).slots;
        let place = at.slot.min(MAX_SLOTS - 1);
        if slots.len() <= place {
            slots.resize_with(place + 1, Slot::default);
        }
        slots.get_mut(place)
    }

    /// One of several bodies was looked at, between two readings of the counters. Whether there may be more to see.
    pub(super) fn looked(&mut self, id: usize, body: usize, before: (u64, u64), made: bool) {
        if self.news > before.0 {
            return;
        }
        let state = match (self.cuts > before.1, made) {
            (true, _) => State::Cut(self.made),
            (false, true) => State::Done,
            (false, false) => State::Failed,
        };
        let known = &mut self.body(id, body).state;
        let again = matches!((*known, state), (State::Cut(_), State::Cut(_)));
        let change = *known != state;
        *known = state;
        self.news += u64::from(change && !again);
    }

    /// Whether to look at a body: there is more to see, or what was missing can be made by now.
    pub(super) fn is_open(&mut self, id: usize, body: usize) -> bool {
        let made = self.made;
        match self.body(id, body).state {
            State::New => true,
            State::Cut(then) => then < made,
            State::Done | State::Failed => false,
        }
    }

    /// Whether anything was asked for that only self-describing forms have.
    pub(super) fn asks_what_comes(&self) -> bool {
        let bodies = self.compounds.iter().flat_map(|compound| &compound.bodies);
        bodies.flat_map(|body| &body.slots).any(|slot| slot.children.contains(&Child::Leaf(Leaf::Any)))
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.steps = self.steps.saturating_add(1);
        if self.is_spent() { Err(Stop::Spent) } else { Ok(()) }
    }

    fn note(&mut self, at: At, child: Child) {
        let Some(slot) = self.slot(at) else { return };
        if slot.children.len() < MAX_CHILDREN && !slot.children.contains(&child) {
            slot.children.push(child);
            self.news += 1;
        }
    }
}
