//! What a seed decides before anything happens: how many tasks, which faults, which mistake.

use crate::dice::Dice;

/// Something that goes wrong around NEXUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// NEXUS is killed, at any moment and between any two steps of recording.
    Crash,
    /// NEXUS is asked to end while work is under way.
    Stop,
    /// The log cannot be written: no space, or an I/O error that leaves open what was kept.
    Disk,
    /// The wall clock is set back or forward.
    Clock,
    /// A hand ends without a word.
    Hand,
    /// News of an older turn comes late or twice.
    Stale,
    /// A turn ends otherwise than well.
    Turn,
    /// A job fails, or ends without what it was for.
    Job,
    /// The conversation's file is gone.
    Conversation,
    /// The person's own work: their folder changes meanwhile.
    Edit,
}

impl Fault {
    pub(crate) const ALL: [Self; 10] = [
        Self::Crash,
        Self::Stop,
        Self::Disk,
        Self::Clock,
        Self::Hand,
        Self::Stale,
        Self::Turn,
        Self::Job,
        Self::Conversation,
        Self::Edit,
    ];
}

/// A deliberate mistake in the driver, the hands or the log, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Recovery leaves the turns open that died with the program.
    LeavesTurnsOpen,
    /// Facts are shown and answered before they are safe on disk.
    ShowsBeforeSync,
    /// The program goes on after the log refused a batch.
    IgnoresFullDisk,
    /// A limit of the account is reported as a failure of the agent.
    CountsLimits,
    /// A restart does not read the last hand-over of a step.
    ForgetsHandOver,
    /// A discarded change is written into the folder.
    AppliesDiscarded,
    /// The folder is written before the journal is recorded.
    AppliesUnrecorded,
    /// A restart does not take up what waited for a place.
    DropsQueued,
    /// A session is opened while its former process still lives.
    SharesSessions,
    /// Nobody is woken when a wait ends.
    LosesWakeUps,
    /// A turn is handed to its seat at every look.
    HandsOverTwice,
    /// A stopped turn is reported before it has stopped.
    SaysStoppedEarly,
    /// Tasks are admitted without regard to the places.
    IgnoresPlaces,
    /// A restart forgets which tasks wait for others.
    ForgetsChains,
    /// What a turn cost is not passed on.
    LosesCost,
    /// A job that ended without a result is not looked at again.
    ForgetsFruitless,
    /// Two jobs work on one copy.
    CrowdsCopy,
    /// The answer to a question does not reach the agent that waits for it.
    LosesAnswers,
    /// Two lanes are put together with the copy as it was before either.
    MergesTwice,
    /// A lane is made ahead of need, whatever goes on in the copy.
    BranchesDirty,
    /// What is in a lane is thrown away when its step is handed in.
    ForgetsLane,
    /// A merge is reported that was not written.
    SkipsMerge,
    /// What Prime sends back is taken for accepted.
    IgnoresRuling,
    /// A task forgets that its plan is to be looked at.
    RunsBeforeYes,
}

impl Bug {
    pub(crate) const ALL: [Self; 24] = [
        Self::LeavesTurnsOpen,
        Self::ShowsBeforeSync,
        Self::IgnoresFullDisk,
        Self::CountsLimits,
        Self::ForgetsHandOver,
        Self::AppliesDiscarded,
        Self::AppliesUnrecorded,
        Self::DropsQueued,
        Self::SharesSessions,
        Self::LosesWakeUps,
        Self::HandsOverTwice,
        Self::SaysStoppedEarly,
        Self::IgnoresPlaces,
        Self::ForgetsChains,
        Self::LosesCost,
        Self::ForgetsFruitless,
        Self::CrowdsCopy,
        Self::LosesAnswers,
        Self::MergesTwice,
        Self::BranchesDirty,
        Self::ForgetsLane,
        Self::SkipsMerge,
        Self::IgnoresRuling,
        Self::RunsBeforeYes,
    ];
}

/// What happens to a run, as far as it is decided beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) bug: Option<Bug>,
    pub(crate) tasks: usize,
    pub(crate) folders: usize,
    pub(crate) parallel: usize,
    /// How many things happen before the faults stop.
    pub(crate) stormy: usize,
}

impl Scenario {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut dice = Dice::new(seed, 1);
        let tasks = 1 + dice.below(4);
        // Every seed leaves some faults out, so that the others are seen for themselves.
        let faults = Fault::ALL.into_iter().filter(|_| dice.percent(70));
        Self {
            seed,
            faults: faults.collect(),
            bug,
            tasks,
            folders: 1 + dice.below(tasks),
            parallel: 1 + dice.below(3),
            stormy: 60 + dice.below(440),
        }
    }

    /// The same without one kind of fault.
    pub(crate) fn without(&self, fault: Fault) -> Self {
        let mut fewer = self.clone();
        fewer.faults.retain(|known| *known != fault);
        fewer
    }
}
