// Middle: one chain, and a lane for each chosen estimator.
import { useMemo } from "preact/hooks";
import { Disagreement, furthest } from "./Disagreement";
import { Effects } from "./Effects";
import { Kept } from "./Kept";
import { Lane } from "./Lane";
import { goneCount } from "./ranking";
import type { View } from "./state";
import { visible } from "./text";
import type { ChainData, Run } from "./types";

interface Props {
  run: Run;
  chain: ChainData;
  view: View;
  change: (part: Partial<View>) => void;
}

export function ChainView({ run, chain, view, change }: Props) {
  const units = run.chains[view.chain]!.units;
  const marked = useMemo(() => new Set(furthest(chain, view.pair, view.chain).map((far) => far.unit)), [chain, view.pair, view.chain]);
  const left = units - goneCount(units, view.keep);
  return (
    <main>
      <h2>
        <bdi>{visible(chain.id)}</bdi>
      </h2>
      {chain.system && <Part name="System" text={chain.system} />}
      <Part name="Question" text={chain.question} />
      <div class="controls">
        <label class="keep">
          Keep ratio{" "}
          <input
            id="keep"
            type="range"
            min={0}
            max={units}
            value={left}
            aria-valuetext={`${left} of ${units} units kept`}
            onInput={(event) => change({ keep: keepFor(Number(event.currentTarget.value), units) })}
          />{" "}
          <output for="keep">
            {left} of {units} units
          </output>
        </label>
        <fieldset>
          <legend>Colour by</legend>
          {(["rank", "category"] as const).map((colouring) => (
            <label key={colouring}>
              <input type="radio" name="colouring" checked={view.colouring === colouring} onChange={() => change({ colouring })} /> {colouring}
            </label>
          ))}
        </fieldset>
        <label>
          Add a lane{" "}
          <select
            value=""
            onChange={(event) => {
              if (event.currentTarget.value) change({ lanes: [...view.lanes, Number(event.currentTarget.value)] });
            }}
          >
            <option value="">choose an estimator</option>
            {run.estimators.map((name, index) => (view.lanes.includes(index) ? null : <option value={index}>{name}</option>))}
          </select>
        </label>
      </div>
      {view.colouring === "rank" ? <Scale /> : <Categories chain={chain} />}
      {view.lanes.map((index, place) => (
        <Lane
          key={index}
          chain={chain}
          lane={chain.lanes[index] ?? null}
          name={run.estimators[index]!}
          look={run.looks[index]!}
          view={view}
          marked={view.pair.includes(index) ? marked : NONE}
          chooseUnit={(unit) => change({ unit })}
        >
          <LaneButtons name={run.estimators[index]!} place={place} lanes={view.lanes} change={change} />
        </Lane>
      ))}
      <Part name="Answer" text={chain.answer} />
      {chain.gold && <Part name="Right answer" text={chain.gold} />}
      <Effects run={run} chain={chain} view={view} change={change} />
      <Kept run={run} chain={chain} view={view} />
      <Disagreement run={run} chain={chain} view={view} change={change} />
    </main>
  );
}

const NONE = new Set<number>();

/** Return a keep ratio at which this many units are left, by the rule `int(n * keep)`. */
export function keepFor(left: number, units: number): number {
  const ratio = units ? left / units : 1;
  // left / units * units may round to just below a whole number.
  return Math.floor(units * ratio) === left ? ratio : Math.min(1, (left + 0.5) / units);
}

function Part({ name, text }: { name: string; text: string }) {
  return (
    <section class="part" aria-label={name}>
      <h3>{name}</h3>
      <p dir="auto">{visible(text)}</p>
    </section>
  );
}

function Scale() {
  return (
    <p class="scale" aria-label="Legend">
      least important
      {[0, 0.25, 0.5, 0.75, 1].map((shade) => (
        <span key={shade} class="swatch" style={{ "--shade": String(shade) }} />
      ))}
      most important; units that tie share a shade; <span class="token gone">struck out</span>: gone; <span class="token marked">underlined</span>: the
      two chosen estimators differ most
    </p>
  );
}

function Categories({ chain }: { chain: ChainData }) {
  if (!chain.categories.length) return <p class="note">The tokens of this chain have no categories.</p>;
  return (
    <ul class="key" aria-label="Legend">
      {chain.categories.map((name, index) => (
        <li key={name}>
          <span class={`swatch category-${index % 8}`} />
          {visible(name)}
        </li>
      ))}
    </ul>
  );
}

interface LaneButtonsProps {
  name: string;
  place: number;
  lanes: number[];
  change: (part: Partial<View>) => void;
}

function LaneButtons({ name, place, lanes, change }: LaneButtonsProps) {
  const swap = (other: number): void => {
    const moved = [...lanes];
    [moved[place], moved[other]] = [moved[other]!, moved[place]!];
    change({ lanes: moved });
  };
  return (
    <span class="buttons">
      <button type="button" disabled={place === 0} aria-label={`Move ${name} up`} onClick={() => swap(place - 1)}>
        ↑
      </button>
      <button type="button" disabled={place === lanes.length - 1} aria-label={`Move ${name} down`} onClick={() => swap(place + 1)}>
        ↓
      </button>
      <button type="button" disabled={lanes.length === 1} aria-label={`Remove ${name}`} onClick={() => change({ lanes: lanes.filter((_, other) => other !== place) })}>
        ×
      </button>
    </span>
  );
}
