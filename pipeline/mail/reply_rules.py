"""The classifier's knowledge: ordered rules, each with its source. The first that fits a reply decides.

Texts are matched in the form that `replies.words_of` gives them: lower case, accents off, addresses replaced
by EMAIL. The order carries the judgement:

1. greylisting, since it is often worded as a block;
2. sentences of single products that mean something else than they say;
3. limits and blocks, which say nothing about the mailbox however much they mention it;
4. the mailbox: busy, full, disabled, and only then unknown, and that only when the refusal is permanent;
5. what remains, by policy words and enhanced codes.

Sources: R check-if-email-exists, Z ZoneMTA's bounce rules, S Sisimai's reason tables, SR Sisimai's tables per
host, P Postfix and Exim documentation, MS Microsoft's list of Exchange Online non-delivery reports, RFC.
"""

import re
from dataclasses import dataclass

from pipeline.mail.meanings import Meaning

PERMANENT = "5.."
TRANSIENT = "4.."


@dataclass(frozen=True, slots=True)
class Rule:
    """A meaning, and what a reply must show for it; a condition that is not given always holds.

    `code` and `enhanced` are patterns for the whole three-digit and enhanced code, `words` one to be found in
    the text.
    """

    meaning: Meaning
    source: str
    words: re.Pattern[str] | None = None
    code: re.Pattern[str] | None = None
    enhanced: re.Pattern[str] | None = None

    def fits(self, code: str, enhanced: str, words: str) -> bool:
        """Say whether a reply shows all that the rule asks for."""
        return (
            (self.code is None or self.code.fullmatch(code) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
            and (self.words is None or self.words.search(words) is not None)
        )


def _rule(meaning: Meaning, source: str, words: str = "", code: str = "", enhanced: str = "") -> Rule:
    return Rule(meaning, source, *(re.compile(text) if text else None for text in (words, code, enhanced)))


_MAILBOX_NOUN = (
    r"(?:\b(?:EMAIL|users?|recipients?|mailbox(?:es)?|inbox|address(?:es)?|account|e-?mail|person|member|customer"
    r"|alias|local ?part|addressee|\w*empfanger|benutzer|\w*adresse|postfach|\w*konto|destinat\w+|utilisateur"
    r"|boite|compte|utente|indirizzo|casella|usuario|direccion|buzon|cuenta|persona|endereco|caixa|conta"
    r"|uzytkownik|adresat|skrzynka|adres|odbiorca|gebruiker|ontvanger|mottagare|mottaker|modtager|kullanici)\b"
    r"|пользовател\w*|получател\w*|адрес\w*|ящик\w*|аккаунт\w*|用户|收件人|邮箱|帐号|账号|地址|宛先)"
)
_UNKNOWN_WORD = (
    r"(?:unknown|not (?:be )?(?:known|found|valid|recogni[sz]ed)|invalid|undeliverable|non-?existent"
    r"|no longer (?:valid|available|in use|active)|(?:do(?:es)?|is) ?n[o']?t exists?\b|dosn'?t exist|not exist"
    r"|unbekannt|ungultig|nicht (?:gefunden|bekannt|vorhanden)|existiert nicht|inconnu|invalide|inexistant"
    r"|introuvable|n'existe pas|sconosciut|inesistent|non (?:esiste|trovat|valid)|desconocid|inexistente"
    r"|no (?:existe|encontrad|valid)|desconhecid|nao (?:existe|encontrad)|nieznan|nie istnieje|nieprawidlow"
    r"|onbekend|bestaat niet|okand|ukjent|ukendt|bulunamadi|mevcut degil"
    r"|не найден|не существует|неизвест|недеиствител|不存在|无效|存在しま)"
)
_UNKNOWN_MAILBOX = (
    rf"{_MAILBOX_NOUN}(?:[^.;]|\.\S){{0,60}}?\b{_UNKNOWN_WORD}"
    rf"|{_MAILBOX_NOUN}(?:不存在|无效|は存在しま)"
    r"|(?:unknown|invalid|no such|non-?existent|bad|undeliverable|illegal|incorrect|unrout\w+"
    r"|unbekannt\w*|ungultig\w*|onbekende|okand|ukjent|ukendt|nieznany|неизвестн\w+|нет такого"
    rf"|不存在的?|无效的?|无此|没有该|査无此|查无此)[\w ]{{0,15}}(?:{_MAILBOX_NOUN}|人)"
    r"|mailbox (?:here )?by that name|not? (?:a )?valid (?:mailbox|recipient|user|address|e-?mail)"
    r"|not (?:our|my|a known|a valid) (?:customer|user)|user not local|no (?:person|one|body|mailbox) (?:at|with|here)"
    r"|no longer (?:here|with|employed|work)|badrcptto|validrcptto|address error|does ?n[o']?t exist|dosn't exist"
    r"|no existe (?:dicha|ese|esa|el|la)|nie ma takiego|mailbox (?:is )?(?:currently )?unavailable|nosuchuser"
)
_SWITCHED_OFF = (
    r"(?:disabled|suspended|de-?activated|inactive|not active|discontinued|terminated|expired|closed|frozen"
    r"|locked|archived|blocked|cancell?ed|retired"
    r"|desactive\w*|suspendu\w*|ferme\w*|archivee?|deaktiviert|gesperrt|disabilitat\w|sospes\w|disattivat\w"
    r"|desactivad\w|suspendid\w|inactiv\w|deshabilitad\w|desativad\w|suspens\w|zablokowan\w|nieaktywn\w"
    r"|заблокирован\w*|отключен\w*|停用|禁用|冻结|锁定)"
)
_BLOCKLIST = (
    r"(?:black|block|deny)[ -]?(?:list|hole)|\bdnsbl|\b\w*rbls?\b|spamhaus|spamcop|\bsorbs\b|barracuda\w*central"
    r"|senderbase|senderscore|\bsbrs\b|uceprotect|abuseat|mailspike|invaluement|sophos\.com|spfbl"
)
_OUR_ADDRESS = (
    r"client host|\b(?:your|sending|sender|source|connecting) (?:mail )?(?:ip|server|host|network)\b(?:[^.]|\.\S){0,70}"
    r"\b(?:listed|block\w*|banned|denied|refused|reject\w*|not (?:allowed|permitted|accepted|authorized))"
    r"|\bip (?:address )?(?:\S+ )?(?:is|has been|was) (?:\w+ )?(?:block|list|reject|den|refus)|reputation|banned"
    r"|not (?:yet )?authorized to (?:deliver|send)|permanently deferred"
)
_OUR_NAME = (
    r"reverse (?:dns|hostname|lookup|mapping|address)|\bptr\b|\brdns\b|fcrdns|\bhelo\b|\behlo\b"
    r"|your (?:reverse )?hostname|ip name lookup"
)
_OUR_SENDER = (
    r"sender (?:address |domain |e-?mail )?(?:\S+ )?(?:rejected|denied|refused|not allowed|verif\w+|unknown"
    r"|blocked|invalid)|domain of sender|\bspf\b|\bdkim\b|\bdmarc\b|null sender|empty (?:envelope )?sender"
)

RULES: tuple[Rule, ...] = (
    # 1. greylisting
    _rule(Meaning.GREYLISTED, "Z, S", r"gr[ae]y[ -]?list|grey\.rbl|liste grise|lista? gris"),
    # 2. products
    _rule(
        Meaning.NO_SUCH_MAILBOX,
        "MS: directory-based edge blocking",
        "recipient address rejected: access denied",
        code=PERMANENT,
        enhanced=r"5\.4\.1",
    ),
    _rule(Meaning.BLOCKED, "SR/Mimecast", "recipient temporarily unavailable", code=TRANSIENT),
    _rule(Meaning.GREYLISTED, "SR/Mimecast", "internal resources? (?:are|is) temporarily", code=TRANSIENT),
    _rule(Meaning.POLICY, "P: check_recipient_access", "recipient address rejected: access denied"),
    # 3. limits and blocks
    _rule(
        Meaning.MAILBOX_BUSY,
        "Z, SR/YahooInc",
        r"receiving (?:e?-?mail|messages) (?:too (?:quick|fast)|at a rate)"
        r"|mail too (?:quick|fast)|receiving (?:rate )?limit",
    ),
    _rule(Meaning.RATE_LIMITED, "MS: restricted addresses", enhanced=r"4\.7\.8[5-9]\d"),
    _rule(
        Meaning.RATE_LIMITED,
        "Z, S/TooManyConn, SR",
        r"too many (?:\w+ ){0,3}(?:connections?|sessions?|errors?|commands?|requests?|recipients?|failures?)\b"
        r"|too many (?:\w+ )?messages? (?:from|per|sent|in)|rate[ -]?limit|rate (?:has been )?exceed|throttl"
        r"|slow down|too fast|too frequent|connection (?:rate|limit|frequency)|(?:hourly|daily|sending) limit"
        r"|max\w* (?:number of )?(?:messages?|connections?|sessions?) (?:per|reached)|\brp-0\d|unusual rate",
    ),
    _rule(Meaning.RATE_LIMITED, "SR/Google", r"try again later", code="421"),
    _rule(Meaning.BLOCKED, "R, Z, S/Blocked, SR", "|".join((_BLOCKLIST, _OUR_ADDRESS, _OUR_NAME, _OUR_SENDER))),
    _rule(Meaning.BLOCKED, "R: gmx.net, RFC 5321 4.2.3", "no smtp service|smtp service not available"),
    _rule(
        Meaning.BLOCKED,
        "RFC 3463 X.1.7, X.1.8, RFC 7372; MS 5.7.5xx to 5.7.7xx",
        enhanced=r"[45]\.(?:7\.(?:2\d|50\d|51[01]|6[0-4]\d|70\d)|1\.[78])",
    ),
    _rule(
        Meaning.POLICY,
        "Z, S/Blocked disagree on qmail's rcpthosts; relaying says nothing about the mailbox",
        r"relay(?:ing)?(?: access| is)? (?:denied|not|prohibited|restricted)|allowed rcpthosts|we do not relay"
        r"|(?:unable|not permitted|not allowed|will not|cannot) (?:to )?relay",
        code=PERMANENT,
    ),
    _rule(
        Meaning.MAILBOX_DISABLED,
        "S/Suspend",
        r"\b(?:account|mailbox|user)\b[\w ]{0,30}\bblocked",
        code=PERMANENT,
    ),
    _rule(
        Meaning.BLOCKED,
        "S/Blocked, S/SpamDetected",
        r"\bblocked\b|access denied|(?<![\w-])spam\b|unsolicited|\bsc-00\d",
    ),
    # 4. the mailbox
    _rule(
        Meaning.UNCLEAR,
        "RFC 3463 X.3.1: the server's disk, not the user's quota",
        r"system (?:storage|resources)|disk (?:full|space)|\binsufficient (?:disk|memory|resource)",
    ),
    _rule(
        Meaning.MAILBOX_FULL,
        "R, S/MailboxFull",
        r"quota|box[^.]{0,30}\b(?:is |are )?full\b|full mailbox|box[^.]{0,30}(?:out of storage|exceed)"
        r"|(?:exceed\w*|over) (?:\w+ ){0,4}(?:storage|size|allocation|space)"
        r"|user has too many messages|too much mail data"
        r"|casella [^.]*pien|boite [^.]*pleine|buzon [^.]*llen|caixa [^.]*chei|postfach [^.]*voll\b"
        r"|skrzynka [^.]*pelna|переполнен|邮箱(?:已|空间)?(?:满|不足)|已满",
    ),
    _rule(Meaning.MAILBOX_FULL, "RFC 3463 X.2.2", enhanced=r"[45]\.2\.2"),
    _rule(Meaning.MAILBOX_FULL, "RFC 5321 4.2.3: exceeded storage", "storage|space|full", code="552"),
    _rule(
        Meaning.MAILBOX_DISABLED,
        "R, Z, S/Suspend",
        rf"{_MAILBOX_NOUN}[^.;]{{0,50}}?\b{_SWITCHED_OFF}\b|\b{_SWITCHED_OFF} {_MAILBOX_NOUN}"
        rf"|{_MAILBOX_NOUN}\w{{0,4}}(?:停用|禁用|冻结|锁定)",
        code=PERMANENT,
    ),
    _rule(
        Meaning.UNCLEAR,
        "P: recipients that could not be verified; R takes it for a no, wrongly",
        _UNKNOWN_MAILBOX,
        code=TRANSIENT,
    ),
    _rule(Meaning.NO_SUCH_MAILBOX, "R, S/UserUnknown, Z", _UNKNOWN_MAILBOX, code=PERMANENT),
    _rule(Meaning.MAILBOX_DISABLED, "RFC 3463 X.2.1", code=PERMANENT, enhanced=r"5\.2\.1"),
    _rule(
        Meaning.NO_SUCH_MAILBOX,
        "RFC 3463 X.1.1, X.1.3, X.1.6; MS 5.1.10",
        code=PERMANENT,
        enhanced=r"5\.1\.(?:1|3|6|10)",
    ),
    _rule(
        Meaning.NO_SUCH_MAILBOX,
        "S/UserUnknown: IronPort",
        "address rejected",
        code=PERMANENT,
        enhanced=r"5\.1\.0",
    ),
    # 5. what remains
    _rule(Meaning.UNCLEAR, "RFC 3463 X.3, X.4: its own trouble", code=TRANSIENT, enhanced=r"4\.[34]\.\d+"),
    _rule(Meaning.UNCLEAR, "P: Exim", "local (?:problem|error)|lookup|internal error", code=TRANSIENT),
    _rule(Meaning.POLICY, "RFC 3463 X.7; MS 5.7.133: members only", code=PERMANENT, enhanced=r"5\.7\.\d+"),
    _rule(
        Meaning.POLICY,
        "S/PolicyViolation",
        r"polic(?:y|ies)|prohibit|not permitted|not allowed|\bauthenticat|starttls|restricted",
    ),
    _rule(
        Meaning.GREYLISTED,
        "Z: catch-all rules",
        r"try (?:\w+ )?(?:again|later|back)|retry|come back|deferred|currently unavailable|wait (?:\d+|a few)"
        r"|temporarily (?:rejected|refused|unavailable|blocked)",
        code=TRANSIENT,
    ),
    _rule(Meaning.GREYLISTED, "RFC 3463 X.7.1 in use", code="45[01]", enhanced=r"4\.7\.[01]"),
)
"""Read from the top; a reply that no rule fits is UNCLEAR."""
