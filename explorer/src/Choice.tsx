// A choice among names, by index.
interface Props {
  label: string;
  names: string[];
  chosen: number;
  choose: (index: number) => void;
}

export function Choice({ label, names, chosen, choose }: Props) {
  return (
    <label>
      {label}{" "}
      <select value={chosen} onChange={(event) => choose(Number(event.currentTarget.value))}>
        {names.map((name, index) => (
          <option key={name} value={index}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
