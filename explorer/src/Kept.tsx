// What is still likely, and still answered, at the keep ratio that the slider shows.
import { useMemo, useState } from "preact/hooks";
import { Choice } from "./Choice";
import { Curves, type Curve } from "./Curves";
import { Label } from "./Label";
import { likelihoodAt } from "./ranking";
import type { View } from "./state";
import { numberText, visible } from "./text";
import type { ChainData, Run } from "./types";

interface Props {
  run: Run;
  chain: ChainData;
  view: View;
}

/** Return the index of the keep ratio that is nearest. */
function nearest(ratios: number[], keep: number): number {
  return ratios.reduce((best, ratio, index) => (Math.abs(ratio - keep) < Math.abs(ratios[best]! - keep) ? index : best), 0);
}

export function Kept({ run, chain, view }: Props) {
  const hasTrajectory = view.lanes.some((index) => chain.lanes[index]?.trajectory);
  if (!hasTrajectory && !(run.faithfulness && chain.faithfulness) && !(run.recovery && chain.recovery)) return null;
  return (
    <section class="kept" aria-label="What is kept of this chain's likelihoods">
      <h3>Kept at {Math.round(view.keep * 100)} % of the units</h3>
      <Likelihoods run={run} chain={chain} view={view} />
      {run.faithfulness && chain.faithfulness && <Faithful run={run} chain={chain} view={view} />}
      {run.recovery && chain.recovery && <Answers run={run} chain={chain} view={view} />}
    </section>
  );
}

function Likelihoods({ run, chain, view }: Props) {
  const rows = view.lanes.flatMap((index) => {
    const lane = chain.lanes[index];
    return lane?.trajectory ? [{ index, lane }] : [];
  });
  if (!rows.length) return null;
  return (
    <table>
      <caption>Log-likelihoods after the deletions, in nats</caption>
      <thead>
        <tr>
          <th scope="col">estimator</th>
          <th scope="col">answer</th>
          <th scope="col">reasoning and answer</th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <th scope="row">nothing deleted</th>
          <td>{numberText(chain.fullAnswer)}</td>
          <td>{numberText(chain.fullJoint)}</td>
        </tr>
        {rows.map(({ index, lane }) => (
          <tr key={index}>
            <th scope="row">
              <Label name={run.estimators[index]!} />
            </th>
            <td>{numberText(likelihoodAt(lane, chain.fullAnswer, "answer", view.keep))}</td>
            <td>{numberText(likelihoodAt(lane, chain.fullJoint, "joint", view.keep))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Faithful({ run, chain, view }: Props) {
  const faithfulness = run.faithfulness!;
  const own = chain.faithfulness!;
  const [measure, setMeasure] = useState(0);
  const leastFirst = Math.max(0, faithfulness.curves.indexOf("least_first"));
  const curves = useMemo(
    (): Curve[] =>
      view.lanes.map((index) => ({
        name: run.estimators[index]!,
        look: run.looks[index]!,
        values: own.value[measure]![leastFirst]![index]!,
      })),
    [view.lanes, measure, own, run],
  );
  const band = useMemo(
    () => ({ low: own.uniformLow[measure]!, mean: own.uniformMean[measure]!, high: own.uniformHigh[measure]! }),
    [measure, own],
  );
  const { name, unit } = faithfulness.measures[measure]!;
  return (
    <>
      <Choice label="Measure" names={faithfulness.measures.map((each) => each.name)} chosen={measure} choose={setMeasure} />
      <Curves
        title="This chain: least important units deleted first; higher is better"
        label={`${name} (${unit})`}
        keepRatios={faithfulness.keepRatios}
        curves={curves}
        band={band}
        keep={view.keep}
      />
    </>
  );
}

function Answers({ run, chain, view }: Props) {
  const recovery = run.recovery!;
  const own = chain.recovery!;
  const at = nearest(recovery.keepRatios, view.keep);
  const marks = (value: number | null | undefined): string => (value === 1 ? "✓ yes" : value === 0 ? "✗ no" : "–");
  return (
    <table>
      <caption>
        The answer that the model writes when {Math.round(recovery.keepRatios[at]! * 100)} % of the units are kept, and whether it is that of
        each column; after the whole reasoning it writes <bdi>{visible(own.unpruned) || "nothing that can be read"}</bdi>
      </caption>
      <thead>
        <tr>
          <th scope="col">estimator</th>
          <th scope="col">written</th>
          {recovery.references.map((reference) => (
            <th key={reference} scope="col">
              {reference}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {view.lanes.map((index) => (
          <tr key={index}>
            <th scope="row">
              <Label name={run.estimators[index]!} />
            </th>
            <td class="text">
              <bdi>{visible(own.written[index]?.[at] ?? "") || "–"}</bdi>
            </td>
            {recovery.references.map((reference, row) => (
              <td key={reference}>{marks(own.recovered[row]?.[index]?.[at])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
