import stringWidth from 'string-width';

const MIN_WIDTH = 20;
const GAP = 3;

/** Columns as docker prints them: left-aligned, at least 10 wide, 3 spaces between, the last one as long as it is. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.slice(0, -1).forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? MIN_WIDTH / 2 - GAP, stringWidth(cell));
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) + GAP - stringWidth(cell)),
      )
      .join(''),
  );
}
