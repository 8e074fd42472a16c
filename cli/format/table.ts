const MIN_WIDTH = 20;
const GAP = 3;
const PLAIN = /^[\x20-\x7e]*$/;

/** Columns as docker prints them: left-aligned, at least 10 wide, 3 spaces between, the last one as long as it is. */
export async function table(rows: readonly (readonly string[])[]): Promise<string[]> {
  const widthOf = await measureFor(rows);
  const widths: number[] = [];
  for (const row of rows) {
    row.slice(0, -1).forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? MIN_WIDTH / 2 - GAP, widthOf(cell));
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) + GAP - widthOf(cell)),
      )
      .join(''),
  );
}

/** Columns that a text takes on a terminal. What knows this of every script takes longer to load than a short command runs. */
async function measureFor(rows: readonly (readonly string[])[]): Promise<(text: string) => number> {
  if (rows.every((row) => row.every((cell) => PLAIN.test(cell)))) return (text) => text.length;
  return (await import('string-width')).default;
}
