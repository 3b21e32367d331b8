"""English words of written arithmetic and algebra, by what they do in a chain of reasoning."""

from __future__ import annotations

import re

# Verbs that name an operation or a change of what is had; inflected by `inflections`.
_OPERATIONS = """add subtract multiply divide sum total double triple quadruple halve square cube increase decrease
reduce raise combine split share compare equal exceed remain leave hold contain cost earn pay spend save owe charge
buy sell give get receive take bring lose find win gain gather collect pick donate lend borrow return use need eat
consume bake make produce fill remove cut drop grow count calculate compute evaluate simplify solve factor
differentiate integrate substitute cancel round convert measure weigh start"""
_IRREGULAR = """left bought sold gave given got gotten took taken brought lost found won ate eaten made cut grew grown
paid spent held cost lent began begun"""
_QUANTITIES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands
million billion dozen dozens couple pair pairs half halves third thirds quarter quarters fifth sixth seventh eighth
tenth once twice thrice times fold more less fewer least most many much each every per both all total totals sum
difference cheaper older younger taller longer shorter bigger larger smaller faster slower higher lower heavier
lighter greater product quotient remainder ratio rate percent percentage fraction proportion average mean median
amount amounts number numbers quantity price cost costs profit discount tax worth value values equal equals together
altogether plus minus over away another extra remaining rest only combined respectively multiplied divided by dollar
dollars cent cents pound pounds euro euros ounce ounces gram grams kilogram kilograms kg mile miles foot feet inch
inches yard yards meter meters metre metres kilometer kilometers km centimeters liter liters gallon gallons second
seconds minute minutes hour hours day days week weeks month months year years age old equation equations expression
variable function integer integers root roots prime factor factors multiple multiples power exponent logarithm
derivative integral matrix vector angle angles degree degrees area perimeter volume radius diameter length width
height triangle circle rectangle square probability mod modulo divisible even odd"""
_COREFERENCE = """he she it they him her them his hers its their theirs himself herself itself themselves this that
these those who whom whose which he's she's it's they're that's here there same former latter"""
_META_DISCOURSE = """so therefore thus hence then now first firstly second secondly third thirdly next finally lastly
because since however also again let let's lets us we our i i'm my me you your means mean know see note notice recall
consider suppose assume remember wait okay ok well actually alternatively conclude conclusion answer question problem
solution step steps think check verify indeed overall consequently moreover furthermore namely likewise simply just
need want wants asked given going start finding done easy nearly slowly good far"""
_GRAMMAR = """a an the of to in on at by for from with without into onto out up down off about after before during
until while as if than or and but nor not no is are was were be been being am has have had having do does did doing
will would can could may might must shall should what when where how why very too there such still already yet s t
when out through across along between among under above per"""
_SYMBOLS = "+-*/=<>^%$()[]{}|_~\\&"
# Times, divided by, minus, dots, comparisons, root, pi, currencies, degree, sum, integral, infinity.
_MORE_SYMBOLS = "\u00d7\u00f7\u2212\u00b7\u22c5\u2264\u2265\u2260\u2248\u221a\u03c0\u20ac\u00a3\u00b0\u2211\u222b\u221e"
# Whole phrases that speak about the reasoning and not within it, found before single words are looked up.
PHRASES = re.compile(
    r"\b(?:let(?:'s|\s+us|\s+me)?\s+(?:think|see|go|start|begin|break|first|now|solve|find|check|verify|calculate)"
    r"(?:\s+(?:on|slowly|step by step|this step by step|down|with|carefully))?"
    r"|step[- ]by[- ]step|step\s+\d+|so far so good|we are (?:nearly |almost )?(?:done|finished)"
    r"|that was easy|does not matter|first of all|in other words|on the other hand|in conclusion|as a result"
    r"|that means|which means|this means|we know(?: that)?|note that|we (?:need|want|have) to"
    r"|the (?:final )?answer is|in order to)\b",
    re.IGNORECASE,
)


def inflections(verb: str) -> set[str]:
    """Return a regular verb's forms: base, third person, past, gerund.

    >>> sorted(inflections("divide"))
    ['divide', 'divided', 'divides', 'dividing']
    """
    stem = verb.removesuffix("e")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return {verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"}
    third = verb + ("es" if verb.endswith(("s", "x", "ch", "sh")) else "s")
    forms = {verb, third, stem + "ed", stem + "ing"}
    # One short vowel before one consonant: the consonant may double (cut, cutting); the extra form harms nobody.
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", verb) or verb in {"subtract", "begin", "forget"}:
        forms |= {verb + verb[-1] + "ed", verb + verb[-1] + "ing"}
    return forms


def _lexicon() -> dict[str, str]:
    # Later lines win: "then" is discourse before anything else, "he" a reference whatever it refers to.
    words: dict[str, str] = dict.fromkeys(_GRAMMAR.split(), "grammar")
    words |= dict.fromkeys(_META_DISCOURSE.split(), "meta_discourse")
    for verb in _OPERATIONS.split():
        words |= dict.fromkeys(inflections(verb), "verbal_math")
    words |= dict.fromkeys(_IRREGULAR.split(), "verbal_math")
    words |= dict.fromkeys(_QUANTITIES.split(), "verbal_math")
    words |= dict.fromkeys(_COREFERENCE.split(), "coreference")
    words |= dict.fromkeys(["by", "over", "need", "third", "second"], "grammar")
    words |= dict.fromkeys(["so", "then", "need"], "meta_discourse")
    return words


LEXICON: dict[str, str] = _lexicon()
SYMBOLS = frozenset(_SYMBOLS + _MORE_SYMBOLS)
