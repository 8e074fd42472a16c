/** One record of comma-separated values as Go's encoding/csv reads it: a field may be quoted as a whole, `""` inside is a quote. */
export function csvFields(text: string): string[] {
  const out: string[] = [];
  let at = 0;
  while (at <= text.length) {
    if (text[at] === '"') {
      const quoted = /"((?:[^"]|"")*)"/y;
      quoted.lastIndex = at;
      const match = quoted.exec(text);
      if (match === null)
        throw new Error(`parse error on line 1, column ${text.length + 1}: extraneous or missing " in quoted-field`);
      out.push((match[1] ?? '').replaceAll('""', '"'));
      at = quoted.lastIndex + 1;
      continue;
    }
    const comma = text.indexOf(',', at);
    const end = comma < 0 ? text.length : comma;
    out.push(text.slice(at, end));
    at = end + 1;
  }
  return out;
}
