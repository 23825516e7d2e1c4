"""Talk: what a model says to whoever asked it for a text ("Sure! Here is ..."), and words with which it refuses one.

Neither is part of a text. Patterns look at the beginnings of sentences, and only at what nobody writes to a judge:
"Here is how to rate" and "I will show you a query" are no talk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NEW = (
    r"(?:improved|revised|new|newer|updated|re-?written|reworked|reworded|rephrased|better|refined|proposed|modified|"
    r"enhanced|edited|suggested|adjusted|corrected|optimi[sz]ed|polished|amended|clearer|stronger|sharper|tightened)"
)
_TEXT = r"(?:instructions?|sections?|prompts?|versions?|texts?|revisions?|rubrics?|guidelines?|drafts?|rewrites?)"
_ASKED_TEXT = r"(?:instruction|sections?|prompt|version|revision|draft|rewrite|answer|response|proposal|attempt)"
_CHANGES = r"(?:changes|improvements|modifications|revisions|edits|adjustments|enhancements)"
_REWRITE = r"(?:revis|re-?wr[io]t|improv|updat|refin|modif|restructur|rephras|reword|rework|draft)\w*"
_HERE = (
    r"(?:so,? |and )?"
    r"(?:here(?:'s| is| are| comes?)|below(?: is| are|,)|the following(?: is| are)?|this is|these are)"
)
_SELF = r"(?:i|we)(?:'ve|'ll|'d|'m|'re| have| will| would| am| are)?(?: \w+ly| also| just| now| then| only)?"
_FOREIGN_HERE = (
    r"(?:hier (?:ist|sind|kommt|is|zijn)|nachfolgend|im folgenden|voici|voilà|ci-dessous|aquí (?:está|tiene|van?)|"
    r"a continuación|ecco|di seguito|aqui está|segue|abaixo|hieronder|вот|ниже|以下|下面|这是|こちら|다음은|여기)"
)
_FOREIGN_NEW = (
    r"(?:verbesser|überarbeit|neue|aktualisier|amélior|révis|nouve|mejorad|revisad|nuev|actualizad|migliorat|"
    r"rivist|nuov|aggiornat|melhorad|nova|novo|verbeter|herzien|nieuw|улучш|исправ|нов|обнов|改进|改善|"
    r"修订|更新|改良|新しい|修正|개선|수정|새)"
)
_TALK = re.compile(
    "|".join(
        (
            # assent; of the words that also name a grade, or begin an honest sentence, only what cannot be one
            r"(?:sure(?: thing)?|got it|understood|no problem|gladly|with pleasure|you're welcome|thanks|"
            r"thank you(?: for [\w ]+)?|happy to help|natürlich|gerne?|selbstverständlich|bien sûr|volontiers|"
            r"claro(?: que sí)?|por supuesto|"
            r"con gusto|volentieri|com certeza|natuurlijk|uiteraard|конечно|当然|好的|没问题|もちろんです|承知しました|"
            r"물론입니다)\s*(?:[,!.:;。、-]|$)",
            r"(?:certainly|of course|absolutely|definitely|certo|certamente)\s*(?:[!.:]|$)",
            r"(?:okay|ok|alright|all right|great(?: question)?|perfect|hello|hi|hey)\s*[,!]",
            r"(?:sure|certainly|of course|absolutely|definitely)\W+(?:here|i|let|below|this is)\b",
            # announcing
            rf"{_HERE}\b[^.!?]{{0,60}}?\b{_NEW}(?:\W+\w+){{0,4}}?\W+{_TEXT}\b",
            rf"{_HERE} (?:the |an? |my |your |our |one )?(?:\w+ ){{0,2}}{_ASKED_TEXT}\b\W*(?:\w+\W*){{0,4}}:\W*$",
            rf"(?:here|below)(?:'s| is| are| you go| it is|,)[^.!?]*\b(?:you (?:asked|requested|wanted)|{_REWRITE})\b",
            r"here (?:you go|it is)\b",
            rf"(?:the |my |your |a )?(?:{_NEW}\W+)+(?:\w+\W+){{0,2}}?{_TEXT}(?:\W+\w+){{0,3}}\W*:\W*$",
            rf"(?:the |my |your |a )?(?:{_NEW}\W+)+(?:instruction|section|prompt|rubric)\W*$|{_NEW} \[[^\[\]]*\]\W*$",
            rf"{_FOREIGN_HERE}.{{0,60}}?{_FOREIGN_NEW}",
            # about oneself and what one changed
            rf"{_SELF} (?:(?:like|going|happy|glad|tried|need|have) to |must |should )?{_REWRITE}\b",
            r"i(?: would|'d)? (?:propose|suggest)\b|note\W+i\b",
            r"to (?:improve|address|mend|fix)\b[^.!?]*, (?:i|we|let)\b",
            r"i(?:'ve| have)? (?:also |then |only )?(?:added|removed|changed|kept|made|clarified|created|wrote|written|"
            r"focused|emphasi[sz]ed|adjusted|tightened|ensured|addressed)\b",
            r"(?:these|my|key|main|notable|(?:summary|explanation|overview) of|(?:rationale|reasons?) for)(?: the| my)?"
            rf"(?: \w+)? {_CHANGES}\b",
            rf"{_CHANGES} made\s*:|what (?:i|has|have|was)? ?changed\s*[:?]",
            rf"th(?:is|e) {_NEW} (?:\w+ )?{_TEXT} (?:should|will|aims?|address\w*|provides?|includes?|emphasi\w+|"
            r"clarif\w+|keeps?|makes?|now|focus\w*|helps?|ensures?)\b",
            # closing
            r"(?:please )?let me know\b|(?:please )?feel free\b|i hope\b|hope (?:this|that|it)\b|shall i\b",
            r"would you like (?:me|any|another|further|to see)\b|do you want me\b|is there anything\b|anything else\b",
            r"if you(?:'d| would)? (?:like|want|need|prefer)\b.{0,60}\b(?:me|i can|i could|let|just ask)\b",
            # thinking out loud
            r"(?:(?:okay|ok|alright|hmm+|wait|so|now|first),? )?let me\b|hmm+\b|wait,",
            r"(?:(?:okay|ok|so|now|first),? )?let's (?:think|analy|see|look at|break|start|begin|figure|write|improve)",
            r"(?:okay|ok|so|now),? (?:i|we) (?:need|have|must|should)\b",
            r"(?:we|i) need to (?:write|produce|output|craft|come up|answer|find|figure|think)\b",
            rf"the user (?:wants|asks|asked|is asking|needs)(?: for)? (?:me|us|an? {_NEW}|the {_NEW})\b",
            r"based on (?:the|your|these|this) (?:feedback|analysis|mistakes|judgments|patterns|groups)\b.{0,80}"
            r"\b(?:i|we|here|instruction|section|prompt)\b",
            r"(?:looking at|after (?:reviewing|analy[sz]ing)) the (?:mistakes|feedback|judgments|groups)\b",
            r"(?:my )?(?:thinking|thought|reasoning)(?: process)?\s*:",
        )
    )
)
_CANNOT = r"(?:cannot|can't|can not|won't|will not|(?:am|'m) unable|(?:am|'m) not able)"
_WRITE = (
    r"(?:help|assist|provide|comply|fulfil\w*|write|create|do (?:that|this|so)|generate|continue|answer|respond|"
    r"re-?write|improve|engage|participate|produce|process|discuss|share|proceed|support|offer|your request)"
)
_REFUSAL = re.compile(
    "|".join(
        (
            r"(?:i'm|i am|we're|we are) (?:really |very |so |truly |terribly )?(?:sorry|afraid)\b",
            r"sorry\s*(?:[,.!-]|but\b|i\b|$)|(?:i|we) (?:sincerely )?apologi[sz]e\b|(?:my |our )?apologies\b",
            rf"(?:unfortunately,? |but |however,? )?(?:i|we) ?{_CANNOT}(?: to)?(?: \w+){{0,3}}? {_WRITE}\b",
            r"(?:i|we) (?:must |have to |respectfully )+decline\b",
            r"as an? (?:ai|artificial intelligence|(?:large )?language model)\b[\w ]*,? i\b",
            r"(?:this|your|the) (?:request|prompt|content) (?:violates|goes against|was (?:flagged|blocked|filtered)|"
            r"has been (?:flagged|blocked|filtered))\b",
            r"(?:es )?tut mir (?:sehr )?leid|entschuldigung\b|je suis désolé|désolée?\b|lo siento\b|mi dispiace\b|"
            r"sinto muito\b|desculpe\b|het spijt me\b|извините|(?:很|非常)?抱歉|对不起|申し訳|죄송",
        )
    )
)
_MARKUP = re.compile(r"^[\W_]+")


def talk_in(sentences: Iterable[str]) -> Iterator[str]:
    """The sentences, of a normalised text, that speak to whoever asked for it."""
    return (sentence for sentence in sentences if _TALK.match(_MARKUP.sub("", sentence.lower())))


def refusals_in(sentences: Iterable[str]) -> Iterator[str]:
    """The sentences, of a normalised text, that refuse to write it."""
    return (sentence for sentence in sentences if _REFUSAL.match(_MARKUP.sub("", sentence.lower())))
