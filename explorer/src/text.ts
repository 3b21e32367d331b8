// Text of a chain is data. What would be invisible, or would reorder its neighbours, is written out.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** Return a text in which control characters and marks of direction are names such as ⟨U+202E⟩. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, (character) => `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** Return a token as it is shown: line breaks get a mark, and keep breaking the line. */
export function tokenText(text: string): string {
  return visible(text).replace(/\n/g, "↵\n").replace(/\t/g, "⇥\t");
}

/** Return a number with about four significant digits; a dash for one that is missing. */
export function numberText(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toString();
}

/** Return seconds as a clock is read: whole from 100 on, else up to two decimals, and those below 0.01 as such. */
export function secondsText(value: number | null): string {
  if (value === null) return "–";
  if (value > 0 && value < 0.005) return "< 0.01";
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** Return a count with thin spaces between thousands, or with a suffix above a million. */
export function countText(value: number | null): string {
  if (value === null) return "–";
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** Return what a table shows of a correlation: two decimals, and never "-0.00". */
export function decimals(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(2);
  return text === "-0.00" ? "0.00" : text;
}
