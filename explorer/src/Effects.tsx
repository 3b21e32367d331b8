// What the chosen unit does to others, and what others do to it, by the estimators that know.
import { unitText } from "./Disagreement";
import type { View } from "./state";
import { numberText, tokenText } from "./text";
import type { ChainData, Run } from "./types";

interface Props {
  run: Run;
  chain: ChainData;
  view: View;
  change: (part: Partial<View>) => void;
}

export function Effects({ run, chain, view, change }: Props) {
  const known = run.estimators.flatMap((name, index) => {
    const effects = chain.lanes[index]?.effects;
    return effects ? [{ name, effects }] : [];
  });
  if (!known.length) return null;
  const unit = view.unit;
  if (unit === null) return <p class="note">Choose a unit to see what it does to later units, and what acts on it.</p>;
  return (
    <section class="effects" aria-label="Effects of the chosen unit">
      <h3>
        Effects of <bdi>{nameOf(chain, unit)}</bdi>, in nats
      </h3>
      {known.map(({ name, effects }) => (
        <dl key={name}>
          <div>
            <dt>{name}: on the answer</dt>
            <dd>{numberText(effects.onAnswer[unit])}</dd>
          </div>
          <Units title={`${name}: most on`} effects={effects.actsOn[unit] ?? []} chain={chain} change={change} />
          <Units title={`${name}: most by`} effects={effects.actedOnBy[unit] ?? []} chain={chain} change={change} />
        </dl>
      ))}
    </section>
  );
}

const nameOf = (chain: ChainData, unit: number): string => tokenText(unitText(chain, unit)).trim() || "(white space)";

function Units({ title, effects, chain, change }: { title: string; effects: [number, number][]; chain: ChainData; change: Props["change"] }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        {effects.length === 0
          ? "no unit"
          : effects.map(([unit, effect]) => (
              <button key={unit} type="button" class="unit" onClick={() => change({ unit })}>
                <bdi>{nameOf(chain, unit)}</bdi> {numberText(effect)}
              </button>
            ))}
      </dd>
    </div>
  );
}
