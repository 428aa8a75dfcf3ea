//! A trie from patterns to values: a data structure, knows nothing of peers.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::topic::{Pattern, Topic};

/// Values by pattern; finds those whose pattern fits a topic.
///
/// A look-up walks the trie once per topic segment with the set of nodes that the segments so far can have
/// reached, each at most once: never more than segments × nodes steps, whatever the patterns are. Memory is
/// proportional to the segments of the patterns in it; a removal frees what no other pattern shares.
#[derive(Debug)]
pub struct PatternMap<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Debug)]
struct Node<V> {
    /// Of the pattern that ends here.
    value: Option<V>,
    /// Behind a literal segment.
    named: HashMap<Box<str>, Self>,
    /// Behind `*`.
    one: Option<Box<Self>>,
    /// Behind `**`; stays reached whatever segments follow.
    rest: Option<Box<Self>>,
}

/// A node that is reached, and whether by `**`, so that it stays reached.
type Reached<'a, V> = SmallVec<[(&'a Node<V>, bool); 16]>;

impl<V> Default for PatternMap<V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { value: None, named: HashMap::new(), one: None, rest: None }
    }
}

impl<V> PatternMap<V> {
    /// How many patterns have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no pattern has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of exactly this pattern.
    pub fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut V> {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                "*" => node.one.as_deref_mut()?,
                "**" => node.rest.as_deref_mut()?,
                name => node.named.get_mut(name)?,
            };
        }
        node.value.as_mut()
    }

    /// The value of exactly this pattern, made first where there is none.
    pub fn get_or_insert_with(&mut self, pattern: &Pattern, make: impl FnOnce() -> V) -> &mut V {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                "*" => node.one.get_or_insert_default(),
                "**" => node.rest.get_or_insert_default(),
                name => node.named.entry(name.into()).or_default(),
            };
        }
        if node.value.is_none() {
            self.len += 1;
        }
        node.value.get_or_insert_with(make)
    }

    /// Takes the value of exactly this pattern out, and frees its nodes.
    pub fn remove(&mut self, pattern: &Pattern) -> Option<V> {
        let value = self.root.remove(pattern.segments());
        self.len -= usize::from(value.is_some());
        value
    }

    /// Calls `found` once for each value whose pattern fits the topic, in no particular order.
    pub fn for_each_match<'a>(&'a self, topic: &Topic, mut found: impl FnMut(&'a V)) {
        if self.is_empty() {
            return;
        }
        let mut reached = Reached::new();
        reached.push((&self.root, false));
        add_empty_rests(&mut reached);
        let mut next = Reached::new();
        for segment in topic.segments() {
            for &(node, stays) in &reached {
                if stays {
                    next.push((node, true));
                }
                if let Some(one) = &node.one {
                    next.push((one, false));
                }
                if let Some(named) = node.named.get(segment) {
                    next.push((named, false));
                }
            }
            add_empty_rests(&mut next);
            std::mem::swap(&mut reached, &mut next);
            next.clear();
        }
        for (node, _) in reached {
            if let Some(value) = &node.value {
                found(value);
            }
        }
    }

    /// How many nodes the trie has, the root included; for checks that memory follows content.
    pub fn nodes(&self) -> usize {
        self.root.count()
    }
}

/// A `**` may stand for no segment: what is behind it is reached together with its parent.
///
/// Only such nodes can be reached twice (all others have one way in), so this is where doubles are removed.
fn add_empty_rests<V>(reached: &mut Reached<'_, V>) {
    let before = reached.len();
    let mut at = 0;
    while let Some(&(node, _)) = reached.get(at) {
        if let Some(rest) = &node.rest {
            reached.push((rest, true));
        }
        at += 1;
    }
    if reached.len() > before {
        reached.sort_unstable_by_key(|(node, _)| std::ptr::from_ref(*node).addr());
        reached.dedup_by_key(|(node, _)| std::ptr::from_ref(*node).addr());
    }
}

impl<V> Node<V> {
    fn remove<'s>(&mut self, mut segments: impl Iterator<Item = &'s str>) -> Option<V> {
        match segments.next() {
            None => self.value.take(),
            Some("*") => remove_boxed(&mut self.one, segments),
            Some("**") => remove_boxed(&mut self.rest, segments),
            Some(name) => {
                let child = self.named.get_mut(name)?;
                // As a trait object: with a type per level, the recursion would have no end for the compiler.
                let value = child.remove(&mut segments as &mut dyn Iterator<Item = &'s str>);
                if child.is_empty() {
                    self.named.remove(name);
                    if self.named.is_empty() {
                        self.named = HashMap::new();
                    } else if self.named.capacity() > 4 * self.named.len() {
                        self.named.shrink_to(2 * self.named.len());
                    }
                }
                value
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.named.is_empty() && self.one.is_none() && self.rest.is_none()
    }

    fn count(&self) -> usize {
        let boxed = self.one.iter().chain(&self.rest).map(|node| node.count());
        1 + boxed.chain(self.named.values().map(Self::count)).sum::<usize>()
    }
}

fn remove_boxed<'s, V>(
    child: &mut Option<Box<Node<V>>>,
    mut segments: impl Iterator<Item = &'s str>,
) -> Option<V> {
    let node = child.as_deref_mut()?;
    let value = node.remove(&mut segments as &mut dyn Iterator<Item = &'s str>);
    if node.is_empty() {
        *child = None;
    }
    value
}

#[cfg(test)]
mod tests;
