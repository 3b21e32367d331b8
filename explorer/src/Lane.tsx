// One estimator's view of the reasoning: tokens shaded by the place of their unit.
import { useMemo, useState } from "preact/hooks";
import { Label, Line } from "./Label";
import { goneUnits, keptText, places, tokenTexts } from "./ranking";
import type { View } from "./state";
import { numberText, tokenText, visible } from "./text";
import type { ChainData, Lane as LaneData, Look } from "./types";

interface Props {
  chain: ChainData;
  lane: LaneData | null;
  name: string;
  look: Look;
  view: View;
  /** Units to mark, because two estimators differ about them. */
  marked: Set<number>;
  chooseUnit: (unit: number | null) => void;
  /** Buttons that move or remove the lane. */
  children: preact.ComponentChildren;
}

export function Lane({ chain, lane, name, look, view, marked, chooseUnit, children }: Props) {
  const texts = useMemo(() => tokenTexts(chain), [chain]);
  const shades = useMemo(() => (lane ? places(lane) : null), [lane]);
  const gone = useMemo(() => (lane ? goneUnits(lane, view.keep) : null), [lane, view.keep]);
  const [hovered, setHovered] = useState<number | null>(null);
  const chosenToken = view.unit === null ? -1 : chain.unit.indexOf(view.unit);
  const described = hovered ?? (chosenToken >= 0 ? chosenToken : null);

  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") chooseUnit(null);
    if (by === undefined) return;
    event.preventDefault();
    const last = chain.unit.length ? Math.max(...chain.unit) : 0;
    chooseUnit(Math.min(last, Math.max(0, (view.unit ?? (by > 0 ? -1 : last + 1)) + by)));
  };

  return (
    <section class="lane" aria-label={`Reasoning by ${name}`}>
      <header>
        <h3>
          <Line look={look} />
          <Label name={name} />
        </h3>
        {children}
      </header>
      {!lane && <p class="note">This estimator says nothing about this chain.</p>}
      {lane && !gone && <p class="note">It stopped deleting before this keep ratio, so it does not say what goes next.</p>}
      <p
        class={`tokens ${view.colouring}`}
        dir="auto"
        tabIndex={0}
        role="group"
        aria-label={`${name}: tokens; the arrow keys go through the units`}
        onKeyDown={onKeyDown}
        onMouseLeave={() => setHovered(null)}
      >
        {texts.map((text, token) => {
          const unit = chain.unit[token]!;
          const classes = ["token"];
          const shade = shades?.[unit] ?? 0;
          if (!shades) classes.push("silent");
          else if (view.colouring === "rank" && shade > 0.6) classes.push("dark");
          if (gone?.[unit]) classes.push("gone");
          if (marked.has(unit)) classes.push("marked");
          if (unit === view.unit) classes.push("chosen");
          const category = chain.category[token]!;
          if (view.colouring === "category") classes.push(category < 0 ? "no-category" : `category-${category % 8}`);
          return (
            <span
              key={token}
              class={classes.join(" ")}
              data-token={token}
              style={view.colouring === "rank" ? { "--shade": shade.toFixed(3) } : undefined}
              onMouseEnter={() => setHovered(token)}
              onClick={() => chooseUnit(unit === view.unit ? null : unit)}
            >
              {tokenText(text)}
            </span>
          );
        })}
      </p>
      <p class="numbers" aria-live={hovered === null ? "polite" : "off"}>
        {described === null ? "Point at a token for its numbers; click it to choose its unit." : numbersOf(chain, lane, described)}
      </p>
      {gone && view.keep < 1 && (
        <details open>
          <summary>What is left</summary>
          <p class="left" dir="auto" data-testid={`left-${name}`}>
            {visible(keptText(chain, gone))}
          </p>
        </details>
      )}
    </section>
  );
}

function numbersOf(chain: ChainData, lane: LaneData | null, token: number): string {
  const unit = chain.unit[token]!;
  const category = chain.categories[chain.category[token]!];
  const parts = [
    `token ${token} ${JSON.stringify(visible(chain.reasoning.slice(chain.start[token], chain.end[token])))}`,
    lane && `unit ${unit}: importance ${numberText(lane.importance[unit])}, rank ${lane.rank[unit]} of ${lane.rank.length - 1}`,
    `log P ${numberText(chain.logprob[token])} nats`,
    category,
  ];
  return parts.filter(Boolean).join(" · ");
}
