/** Several of a list, each to be ticked: plain boxes, which every keyboard and reader knows. */
import css from './Ticks.module.css';

interface Props<Value> {
  legend: string;
  hint?: string;
  /** What is said where there is nothing to tick. */
  none: string;
  options: readonly { value: Value; label: string }[];
  chosen: readonly Value[];
  onChange(chosen: Value[]): void;
}

export function Ticks<Value extends string | number>(props: Props<Value>) {
  const { legend, hint, none, options, chosen, onChange } = props;
  return (
    <fieldset className={css.ticks}>
      <legend className={css.legend}>{legend}</legend>
      {hint ? <p className={css.hint}>{hint}</p> : null}
      {options.length === 0 ? <p className={css.hint}>{none}</p> : null}
      <div className={css.options}>
        {options.map(({ value, label }) => (
          <label key={value} className={css.option}>
            <input
              type="checkbox"
              checked={chosen.includes(value)}
              onChange={(event) =>
                onChange(
                  event.currentTarget.checked
                    ? options
                        .map((each) => each.value)
                        .filter((each) => each === value || chosen.includes(each))
                    : chosen.filter((each) => each !== value),
                )
              }
            />
            <span className={css.label}>{label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
