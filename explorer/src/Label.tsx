// An estimator's label, which may be broken after its punctuation and nowhere else, and the line that stands for it in charts.
import type { Look } from "./types";

export function Label({ name }: { name: string }) {
  return <>{name.split(/(?<=[_:=,])/).flatMap((part, index) => (index ? [<wbr key={index} />, part] : [part]))}</>;
}

export function Line({ look }: { look: Look }) {
  return <span class={`line estimator-${look[0]} dash-${look[1]}`} aria-hidden="true" />;
}
