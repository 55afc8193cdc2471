"""All tables at once: importing this fills `Base.metadata`."""

from models.account import Account
from models.api_key import ApiKey
from models.artifact import Artifact
from models.contact import Contact
from models.credit_ledger import LedgerEntry
from models.deferral import DeferralRow
from models.domain_pattern import DomainPattern
from models.hook import Hook, HookMessage, HookStream
from models.intake_rules import IntakeRules
from models.lookup import Lookup
from models.outcome import OutcomeRow
from models.provider_answer import ProviderAnswer, ProviderSpending
from models.run import Run
from models.run_chunk import RunChunk
from models.run_event import RunEvent
from models.run_stage import RunStage
from models.schema import Base
from models.sign_in import SignIn
from models.signing_key import SigningKey
from models.stored_file import StoredFile
from models.suppression import Suppression
from models.upload import Upload, UploadPiece, UploadRow
from models.verification import Verification

__all__ = [
    "Account",
    "ApiKey",
    "Artifact",
    "Base",
    "Contact",
    "DeferralRow",
    "DomainPattern",
    "Hook",
    "HookMessage",
    "HookStream",
    "IntakeRules",
    "LedgerEntry",
    "Lookup",
    "OutcomeRow",
    "ProviderAnswer",
    "ProviderSpending",
    "Run",
    "RunChunk",
    "RunEvent",
    "RunStage",
    "SignIn",
    "SigningKey",
    "StoredFile",
    "Suppression",
    "Upload",
    "UploadPiece",
    "UploadRow",
    "Verification",
]
