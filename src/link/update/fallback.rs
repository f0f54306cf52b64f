//! Why an update cannot be made in place, so that all symbols are resolved anew.

use std::fmt;

use crate::error::Error;

/// Why a change needs a new resolution of all symbols. The output is the same; it takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FallbackReason {
    /// A file changed that was not needed.
    FileNotNeeded,
    /// A library changed.
    Library,
    /// COMDAT groups changed.
    Comdats,
    /// A discarded symbol is new.
    DiscardedSymbolIsNew,
    /// A function is needed that was discarded.
    DiscardedFunctionIsNeeded,
    /// A global, tag or table is needed that was not.
    OtherIsNeeded,
    /// A local symbol is undefined.
    LocalIsUndefined,
    /// A new symbol is exported, kept, or named by an option.
    NewSymbolIsExported,
    /// A symbol changed.
    SymbolChanged,
    /// A symbol is defined that is known already.
    SymbolIsKnown,
    /// A symbol is gone that is needed.
    SymbolIsGone,
    /// A symbol is needed as something else.
    SymbolOfAnotherKind,
    /// A symbol is needed that no object defines.
    SymbolIsUndefined,
    /// A symbol is needed that no object has.
    SymbolIsUnknown,
    /// A symbol stands for another declaration.
    SymbolMoved,
    /// An init function is another function.
    InitFunctionMoved,
    /// An object has two symbols of one name.
    NameIsTwice,
    /// An object with init functions is needed that was not.
    InitFunctionsAreNeeded,
    /// Data is needed that was discarded.
    DiscardedDataIsNeeded,
    /// Data that is kept in any case changed.
    RetainedData,
    /// Data that must be in one piece changed.
    MergedData,
    /// An object defines a symbol that `--wrap` puts another one in place of: its own references do not mean it.
    Wrapped,
    /// Everything is linked, or memory is shared.
    EverythingIsLinked,
    /// Exported names changed.
    ExportedNames,
    /// Globals, tags or tables changed.
    Globals,
    /// Init functions changed.
    InitFunctions,
    /// Less is needed of an object with init functions.
    InitFunctionsAreNotNeeded,
    /// More data is needed that must be in one piece.
    MoreMergedData,
    /// Something is needed that was not linked.
    NotLinked,
    /// Something undefined is not needed any more.
    UndefinedIsNotNeeded,
    /// An object names imports or exports in another order.
    InterfaceOrder,
    /// The target, features or producers changed.
    Target,
    /// The list of symbols that may be undefined changed.
    AllowList,
    /// Most of what stands there of an object's strings of debug information is of no use any more.
    StringsLeftBehind,
    /// An edit was refused.
    EditRefused,
    /// Other files are linked, or in another order.
    InputList,
}

impl FallbackReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [FallbackReason; FallbackReason::InputList as usize + 1] = {
        use FallbackReason::*;
        [
            FileNotNeeded,
            Library,
            Comdats,
            DiscardedSymbolIsNew,
            DiscardedFunctionIsNeeded,
            OtherIsNeeded,
            LocalIsUndefined,
            NewSymbolIsExported,
            SymbolChanged,
            SymbolIsKnown,
            SymbolIsGone,
            SymbolOfAnotherKind,
            SymbolIsUndefined,
            SymbolIsUnknown,
            SymbolMoved,
            InitFunctionMoved,
            NameIsTwice,
            InitFunctionsAreNeeded,
            DiscardedDataIsNeeded,
            RetainedData,
            MergedData,
            Wrapped,
            EverythingIsLinked,
            ExportedNames,
            Globals,
            InitFunctions,
            InitFunctionsAreNotNeeded,
            MoreMergedData,
            NotLinked,
            UndefinedIsNotNeeded,
            InterfaceOrder,
            Target,
            AllowList,
            StringsLeftBehind,
            EditRefused,
            InputList,
        ]
    };

    /// The reason's number, as listed in `design/relink-reasons.md`.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use FallbackReason::*;
        f.write_str(match self {
            FileNotNeeded => "a file changed that was not needed",
            Library => "a library changed",
            Comdats => "COMDAT groups changed",
            DiscardedSymbolIsNew => "a discarded symbol is new",
            DiscardedFunctionIsNeeded => "a function is needed that was discarded",
            OtherIsNeeded => "a global, tag or table is needed that was not",
            LocalIsUndefined => "a local symbol is undefined",
            NewSymbolIsExported => "a new symbol is exported, kept, or named by an option",
            SymbolChanged => "a symbol changed",
            SymbolIsKnown => "a symbol is defined that is known already",
            SymbolIsGone => "a symbol is gone that is needed",
            SymbolOfAnotherKind => "a symbol is needed as something else",
            SymbolIsUndefined => "a symbol is needed that no object defines",
            SymbolIsUnknown => "a symbol is needed that no object has",
            SymbolMoved => "a symbol stands for another declaration",
            InitFunctionMoved => "an init function is another function",
            NameIsTwice => "an object has two symbols of one name",
            InitFunctionsAreNeeded => "an object with init functions is needed that was not",
            DiscardedDataIsNeeded => "data is needed that was discarded",
            RetainedData => "data that is kept in any case changed",
            MergedData => "data that must be in one piece changed",
            Wrapped => "an object defines a symbol that --wrap puts another one in place of",
            EverythingIsLinked => "everything is linked, or memory is shared",
            ExportedNames => "exported names changed",
            Globals => "globals, tags or tables changed",
            InitFunctions => "init functions changed",
            InitFunctionsAreNotNeeded => "less is needed of an object with init functions",
            MoreMergedData => "more data is needed that must be in one piece",
            NotLinked => "something is needed that was not linked",
            UndefinedIsNotNeeded => "something undefined is not needed any more",
            InterfaceOrder => "an object names imports or exports in another order",
            Target => "the target, features or producers changed",
            AllowList => "the list of symbols that may be undefined changed",
            StringsLeftBehind => {
                "most of an object's strings of debug information are of no use any more"
            }
            EditRefused => "an edit was refused",
            InputList => "other files are linked, or in another order",
        })
    }
}

/// What ends an update in place.
#[derive(Debug)]
pub(in crate::link) enum UpdateError {
    /// It needs a new resolution.
    Fallback(FallbackReason),
    /// An error that a new resolution may say better.
    Error(Error),
}

impl From<FallbackReason> for UpdateError {
    fn from(reason: FallbackReason) -> UpdateError {
        UpdateError::Fallback(reason)
    }
}

impl From<Error> for UpdateError {
    fn from(error: Error) -> UpdateError {
        UpdateError::Error(error)
    }
}

/// An answer, or what ends the update.
pub(super) type UpdateResult<T> = Result<T, UpdateError>;

/// Ends an update in place.
pub(super) fn fall_back<T>(reason: FallbackReason) -> UpdateResult<T> {
    Err(UpdateError::Fallback(reason))
}
