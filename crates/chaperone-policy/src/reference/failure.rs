//! How Cedar says that a policy failed.

use cedar_policy_core::evaluator::EvaluationError;

use crate::decision::Failure;

impl From<&EvaluationError> for Failure {
    fn from(error: &EvaluationError) -> Self {
        match error {
            EvaluationError::EntityDoesNotExist(_) => Self::EntityUnknown,
            EvaluationError::EntityAttrDoesNotExist(_) | EvaluationError::RecordAttrDoesNotExist(_) => {
                Self::AttributeMissing
            }
            EvaluationError::TypeError(_) => Self::WrongType,
            EvaluationError::IntegerOverflow(_) => Self::Overflow,
            EvaluationError::FailedExtensionFunctionExecution(_) => Self::Extension,
            EvaluationError::FailedExtensionFunctionLookup(_)
            | EvaluationError::WrongNumArguments(_)
            | EvaluationError::UnlinkedSlot(_)
            | EvaluationError::NonValue(_)
            | EvaluationError::RecursionLimit(_) => Self::Other,
        }
    }
}
