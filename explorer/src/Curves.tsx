// A chart of curves over the keep ratio, with the band of random orders; its numbers are also a table.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Label, Line } from "./Label";
import { numberText } from "./text";
import type { Look, Maybe } from "./types";

export interface Curve {
  name: string;
  /** The hue and the kind of line of its estimator; null for a curve that is drawn in grey, behind the others. */
  look: Look | null;
  values: Maybe[];
}

interface Props {
  title: string;
  /** The y axis, with its unit. */
  label: string;
  keepRatios: number[];
  curves: Curve[];
  band: { low: Maybe[]; mean: Maybe[]; high: Maybe[] } | null;
  /** A keep ratio to mark. */
  keep?: number;
}

const DASHES = [[], [6, 3], [2, 3], [6, 3, 2, 3]];
const HEIGHT = 220;

export function Curves({ title, label, keepRatios, curves, band, keep }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const named = curves.filter((curve) => curve.look);
  const others = curves.length - named.length;
  useEffect(() => {
    const behindFirst = [...curves].sort((one, other) => Number(one.look !== null) - Number(other.look !== null));
    const element = place.current;
    if (!element) return;
    const draw = (): uPlot => {
      const colour = (name: string): string => getComputedStyle(element).getPropertyValue(name).trim();
      const order = [...keepRatios.keys()].sort((one, other) => keepRatios[one]! - keepRatios[other]!);
      const inOrder = (values: Maybe[]): Maybe[] => order.map((index) => values[index] ?? null);
      const bandSeries: uPlot.Series[] = band
        ? [
            { label: "random, highest", stroke: colour("--band"), width: 0, points: { show: false } },
            { label: "random, lowest", stroke: colour("--band"), width: 0, points: { show: false } },
            { label: "random, mean", stroke: colour("--ink"), width: 1, dash: [1, 3], points: { show: false } },
          ]
        : [];
      const axis: uPlot.Axis = { stroke: colour("--ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
      const options: uPlot.Options = {
        width: Math.max(240, element.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false } },
        axes: [
          { ...axis, label: "keep ratio (share of units)", labelSize: 18, size: 32 },
          { ...axis, label, labelSize: 18, size: 56, values: (_, ticks) => ticks.map((tick) => numberText(tick)) },
        ],
        series: [
          {},
          ...bandSeries,
          ...behindFirst.map((curve): uPlot.Series => ({
            label: curve.name,
            stroke: colour(curve.look ? `--estimator-${curve.look[0]}` : "--others"),
            dash: DASHES[curve.look?.[1] ?? 0]!,
            width: curve.look ? 2 : 1,
            points: { show: curve.look !== null, size: 5 },
          })),
        ],
        bands: band ? [{ series: [1, 2], fill: colour("--band") }] : [],
        hooks: {
          draw: [
            (plot) => {
              if (keep === undefined) return;
              const x = plot.valToPos(keep, "x", true);
              plot.ctx.save();
              plot.ctx.strokeStyle = colour("--accent");
              plot.ctx.lineWidth = 2;
              plot.ctx.beginPath();
              plot.ctx.moveTo(x, plot.bbox.top);
              plot.ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
              plot.ctx.stroke();
              plot.ctx.restore();
            },
          ],
        },
      };
      const rows = band ? [inOrder(band.high), inOrder(band.low), inOrder(band.mean)] : [];
      const data = [order.map((index) => keepRatios[index]!), ...rows, ...behindFirst.map((curve) => inOrder(curve.values))];
      return new uPlot(options, data as uPlot.AlignedData, element);
    };
    let plot = draw();
    const again = (): void => {
      plot.destroy();
      plot = draw();
    };
    const resized = new ResizeObserver(() => plot.setSize({ width: Math.max(240, element.clientWidth), height: HEIGHT }));
    resized.observe(element);
    const theme = matchMedia("(prefers-color-scheme: dark)");
    theme.addEventListener("change", again);
    return () => {
      resized.disconnect();
      theme.removeEventListener("change", again);
      plot.destroy();
    };
  }, [title, label, keepRatios, curves, band, keep]);

  return (
    <figure class="curves">
      <figcaption>{title}</figcaption>
      <div ref={place} aria-hidden="true" />
      <ul class="key">
        {named.map((curve) => (
          <li key={curve.name}>
            <Line look={curve.look!} />
            <Label name={curve.name} />
          </li>
        ))}
        {others > 0 && (
          <li>
            <span class="line others" />
            {others} without a lane
          </li>
        )}
        {band && (
          <li>
            <span class="swatch band" />
            random orders: mean, and lowest to highest draw
          </li>
        )}
      </ul>
      <details>
        <summary>Numbers</summary>
        <div class="wide">
          <table>
            <thead>
              <tr>
                <th scope="col">keep ratio</th>
                {keepRatios.map((ratio) => (
                  <th key={ratio} scope="col">
                    {numberText(ratio)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...curves, ...(band ? [{ name: "random, mean", values: band.mean }] : [])].map((curve) => (
                <tr key={curve.name}>
                  <th scope="row">
                    <Label name={curve.name} />
                  </th>
                  {curve.values.map((value, index) => (
                    <td key={index}>{numberText(value)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
