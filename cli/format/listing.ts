import type { Context } from '../context.ts';
import { table } from './table.ts';
import { compileTemplate, goJson } from './template.ts';

/** One column of a list: its name in templates, its heading, and what it shows of a row. */
export interface Column<Row> {
  key: string;
  header: string;
  value: (row: Row) => string | boolean;
  /** Only for templates: not in the default table. */
  hidden?: boolean;
}

export interface ListingOptions {
  format?: string;
  quiet?: boolean;
}

/** Prints rows as docker does: a table, `--format table TEMPLATE`, a template per row, or a JSON object per row. */
export async function printListing<Row>(
  context: Context,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: ListingOptions,
  quietValue: (row: Row) => string,
): Promise<void> {
  const { format } = options;
  if (options.quiet === true && format === undefined) {
    for (const row of rows) context.print(quietValue(row));
    return;
  }
  if (format === undefined || format === 'table') {
    const shown = columns.filter((column) => column.hidden !== true);
    const cells = rows.map((row) => shown.map((column) => String(column.value(row))));
    for (const line of await table([shown.map((column) => column.header), ...cells])) context.print(line);
    return;
  }
  const sorted = columns.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const objects = rows.map((row) => Object.fromEntries(sorted.map((column) => [column.key, column.value(row)])));
  if (format === 'json') {
    for (const each of objects) context.print(goJson(each));
    return;
  }
  const isTable = format.startsWith('table ');
  const render = await compileTemplate(isTable ? format.slice('table '.length) : format);
  const headers = Object.fromEntries(columns.map((column) => [column.key, column.header]));
  const lines = (isTable ? [headers, ...objects] : objects).map(render);
  for (const line of isTable ? await table(lines.map((each) => each.split('\t'))) : lines) context.print(line);
}
