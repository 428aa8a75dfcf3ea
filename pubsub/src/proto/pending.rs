//! Questions that wait for answers: who owes one, until when, and who is missing in the end.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use super::exchange::Refusal;

/// Answers that may be owed at once, over all questions of a node: bounds the memory, about 100 bytes for each.
pub const MAX_OWED: usize = 65_536;

/// The open questions of one node. `N` names a node that was asked.
///
/// - input: [`ask`](Self::ask), [`handle_answer`](Self::handle_answer), [`handle_gone`](Self::handle_gone),
///   [`handle_cancelled`](Self::handle_cancelled)
/// - output: [`poll_event`](Self::poll_event)
/// - time: [`poll_timeout`](Self::poll_timeout), [`handle_timeout`](Self::handle_timeout)
#[derive(Debug)]
pub struct Pending<N> {
    /// The number of the newest question.
    last: u64,
    questions: HashMap<u64, Question<N>>,
    /// Deadlines in their order.
    due: BTreeSet<(Instant, u64)>,
    /// Nodes that owe answers, over all questions.
    owed: usize,
    events: VecDeque<Event<N>>,
    late: u64,
}

#[derive(Debug)]
struct Question<N> {
    deadline: Instant,
    owing: Vec<Owing<N>>,
}

/// A node that owes answers: one for each of its responders, as many as its first answer says.
#[derive(Debug)]
struct Owing<N> {
    node: N,
    left: Option<u64>,
}

/// What becomes of a question beside the answers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<N> {
    /// An answer that will not come; where a node owed several and is gone or late, told once for all.
    Missing {
        /// The question's number.
        question: u64,
        /// Who owed it.
        node: N,
        /// Why.
        why: Missing,
    },
    /// Nobody owes an answer any more. The number is never used again.
    Done {
        /// The question's number.
        question: u64,
    },
}

/// Why an answer does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A responder said that there will be none.
    Refused(Refusal),
    /// The node was told down.
    Gone,
    /// It was not there in time.
    Late,
}

/// [`MAX_OWED`] answers are owed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl<N> Default for Pending<N> {
    fn default() -> Self {
        Self {
            last: 0,
            questions: HashMap::new(),
            due: BTreeSet::new(),
            owed: 0,
            events: VecDeque::new(),
            late: 0,
        }
    }
}

impl<N: Clone + PartialEq> Pending<N> {
    /// A new question to these nodes, none twice, and its number. A question to nobody is done at once.
    pub fn ask(&mut self, deadline: Instant, nodes: impl IntoIterator<Item = N>) -> Result<u64, TooMany> {
        let owing: Vec<_> = nodes.into_iter().map(|node| Owing { node, left: None }).collect();
        if self.owed + owing.len() > MAX_OWED {
            return Err(TooMany);
        }
        self.last += 1;
        self.owed += owing.len();
        self.due.insert((deadline, self.last));
        self.questions.insert(self.last, Question { deadline, owing });
        self.settle(self.last);
        Ok(self.last)
    }

    /// An answer of a node, a reply or a refusal, and how many responders of the node answer in all. Whether it is awaited:
    /// then a reply is to be given to the asker, ahead of the next event. What comes late, or from nobody who was asked, is
    /// counted.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        question: u64,
        node: &N,
        of: u64,
        refused: Option<Refusal>,
    ) -> bool {
        self.handle_timeout(now);
        let asked = self.questions.get_mut(&question);
        let owing = asked.and_then(|asked| asked.owing.iter_mut().find(|owing| owing.node == *node));
        let Some(owing) = owing else {
            self.late += 1;
            return false;
        };
        // The first word counts; a node that says another number then is at odds with itself.
        let left = owing.left.unwrap_or(of).saturating_sub(1);
        owing.left = Some(left);
        if let Some(refusal) = refused {
            let why = Missing::Refused(refusal);
            self.events.push_back(Event::Missing { question, node: node.clone(), why });
        }
        if left == 0 {
            self.release(question, node);
        }
        true
    }

    /// A node was told down: it owes nothing any more.
    pub fn handle_gone(&mut self, node: &N) {
        let mut owed: Vec<u64> = self
            .questions
            .iter()
            .filter(|(_, asked)| asked.owing.iter().any(|owing| owing.node == *node))
            .map(|(question, _)| *question)
            .collect();
        owed.sort_unstable();
        for question in owed {
            self.events.push_back(Event::Missing { question, node: node.clone(), why: Missing::Gone });
            self.release(question, node);
        }
    }

    /// The number up to which this node owes nothing.
    pub fn settled(&self, node: &N) -> u64 {
        let owes = |asked: &Question<N>| asked.owing.iter().any(|owing| owing.node == *node);
        let oldest = self.questions.iter().filter(|(_, asked)| owes(asked)).map(|(number, _)| *number).min();
        oldest.map_or(self.last, |oldest| oldest - 1)
    }

    /// Nobody waits for the answers any more. No event follows.
    pub fn handle_cancelled(&mut self, question: u64) {
        if let Some(asked) = self.questions.remove(&question) {
            self.owed -= asked.owing.len();
            self.due.remove(&(asked.deadline, question));
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; none: nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Time has come: questions whose deadline is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, question)) = self.due.first()
            && deadline <= now
        {
            let owing = self.questions.get_mut(&question).map(|asked| std::mem::take(&mut asked.owing));
            for Owing { node, .. } in owing.into_iter().flatten() {
                self.owed -= 1;
                self.events.push_back(Event::Missing { question, node, why: Missing::Late });
            }
            self.settle(question);
        }
    }

    /// What follows for the questions.
    pub fn poll_event(&mut self) -> Option<Event<N>> {
        self.events.pop_front()
    }

    /// Open questions.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// Answers that came after their question was over, or from a node that was not asked.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// The node owes nothing for the question any more.
    fn release(&mut self, question: u64, node: &N) {
        if let Some(asked) = self.questions.get_mut(&question) {
            let before = asked.owing.len();
            asked.owing.retain(|owing| owing.node != *node);
            self.owed -= before - asked.owing.len();
        }
        self.settle(question);
    }

    /// Ends a question that nobody owes an answer to.
    fn settle(&mut self, question: u64) {
        if self.questions.get(&question).is_some_and(|asked| asked.owing.is_empty()) {
            self.handle_cancelled(question);
            self.events.push_back(Event::Done { question });
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests;
