//! Members of libraries after an update: whether a link from the inputs would load those that are loaded. Their contents are
//! not looked at.

use crate::link::declare::kept_customs;
use crate::link::resolve::units::LinkedObject;
use crate::link::symbols::ObjectId;
use crate::link::update::Update;
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};

impl Update<'_> {
    /// A member that came to be reached or is not any more may be one that a link from the inputs would not load: that
    /// must make no difference to what all loaded objects say, nor to their custom sections.
    pub(super) fn expect_same_members(&self) -> UpdateResult<()> {
        let resolution = self.resolution();
        let changed = self.units_before().filter_map(|(id, old)| {
            let is_same = old.is_live() == self.unit(id).is_live();
            (!is_same).then_some(id)
        });
        // What was loaded for a member that may not be loaded any more may not be either; what is reached stays.
        let all = match self.forgets_member {
            true => 0..resolution.objects().len() as u32,
            false => 0..0,
        };
        let unreached = all.map(ObjectId).filter(|id| !self.unit(*id).is_live());
        for id in changed.chain(unreached) {
            let linked = resolution.object(id);
            // All that is live of it is linked, whatever it says.
            if linked.is_lazy && (linked.is_live || self.says_something(linked)) {
                return fall_back(FallbackReason::NotLinked);
            }
        }
        match self.forgets_member && self.exports_unasked() {
            true => fall_back(FallbackReason::NotLinked),
            false => Ok(()),
        }
    }

    /// Whether a member exports something, and may not be loaded any more: what is exported is reached whatever loads it.
    fn exports_unasked(&self) -> bool {
        let options = &self.link.options;
        let exports_all = options.export_all || options.export_dynamic;
        let objects = self.resolution().objects();
        let exports = |linked: &&LinkedObject| {
            let mut symbols = linked.object.symbols.iter();
            symbols.any(|it| !it.is_undefined() && (exports_all || it.flags.is_kept()))
        };
        let has_such = objects.iter().any(|it| it.is_lazy && exports(&it));
        has_such && {
            let is_asked_for = self.asked_for();
            let unasked = objects.iter().zip(is_asked_for);
            let mut unasked = unasked.filter(|(_, is_asked_for)| !is_asked_for);
            unasked.any(|(linked, _)| exports(&linked))
        }
    }

    /// Which objects a link from the inputs loads in any case: those that are given as such, what options name, and what
    /// these refer to. A reference that may stay undefined loads nothing.
    fn asked_for(&self) -> Vec<bool> {
        let resolution = self.resolution();
        let options = &self.link.options;
        let objects = resolution.objects();
        let is_named = |linked: &LinkedObject| {
            let mut symbols = linked.object.symbols.iter();
            symbols.any(|it| !it.is_undefined() && options.names_symbol(linked.object.str(it.name)))
        };
        let given = objects.iter().map(|it| !it.is_lazy || is_named(it));
        let mut is_asked_for: Vec<bool> = given.collect();
        let all = (0..objects.len() as u32).map(ObjectId);
        let mut open: Vec<ObjectId> = all.filter(|id| is_asked_for[id.index()]).collect();
        while let Some(id) = open.pop() {
            let linked = resolution.object(id);
            for (symbol, reference) in linked.object.symbols.iter().zip(&linked.refs) {
                if !symbol.is_undefined() || symbol.is_weak() {
                    continue;
                }
                let place = reference
                    .symbol()
                    .and_then(|it| resolution.table.get(it).place());
                if let Some((definer, _)) = place
                    && !std::mem::replace(&mut is_asked_for[definer.index()], true)
                {
                    open.push(definer);
                }
            }
        }
        is_asked_for
    }

    /// Whether it makes a difference that an object is loaded of which nothing is reached.
    fn says_something(&self, linked: &LinkedObject) -> bool {
        let objects = self.resolution().objects().iter();
        let mut roots = objects.filter(|root| root.is_live);
        let object = &linked.object;
        let says_nothing_new = roots.any(|root| {
            let root = &root.object;
            root.producers_bytes() == object.producers_bytes()
                && root.features_bytes() == object.features_bytes()
        });
        let has_own = kept_customs(linked, false, &self.link.options).next();
        // Whether anybody calls the constructors decides whether exports do, also if it is dead code.
        let ctors = self.resolution().call_ctors;
        let mut refs = linked.refs.iter().map(|reference| reference.symbol());
        !says_nothing_new || has_own.is_some() || refs.any(|symbol| symbol == Some(ctors))
    }
}
