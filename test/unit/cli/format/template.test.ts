import { describe, expect, test } from 'vitest';
import { compileTemplate } from '../../../../cli/format/template.ts';

const value = { Name: 'web', N: 3, Labels: { b: '2', a: '<1>' }, List: ['x', 'y'], Deep: { Inner: { Flag: true } } };

describe('templates give what Go gives', () => {
  test.each([
    { id: 'field', template: '{{.Name}}', text: 'web' },
    { id: 'number', template: '{{.N}}', text: '3' },
    { id: 'nested', template: '{{.Deep.Inner.Flag}}', text: 'true' },
    { id: 'map, sorted', template: '{{.Labels}}', text: 'map[a:<1> b:2]' },
    { id: 'list', template: '{{.List}}', text: '[x y]' },
    { id: 'json of text', template: '{{json .Name}}', text: '"web"' },
    { id: 'json escapes as Go does', template: '{{json .Labels.a}}', text: '"\\u003c1\\u003e"' },
    { id: 'json of what is not there', template: '{{json .Nope}}', text: 'null' },
    { id: 'join', template: '{{join .List "-"}}', text: 'x-y' },
    { id: 'upper', template: '{{upper .Name}}', text: 'WEB' },
    { id: 'truncate', template: '{{truncate .Name 2}}', text: 'we' },
    { id: 'range', template: '{{range .List}}<{{.}}>{{end}}', text: '<x><y>' },
    { id: 'if', template: '{{if .Deep.Inner.Flag}}yes{{else}}no{{end}}', text: 'yes' },
    { id: 'tab and newline', template: '{{.Name}}\\t{{.N}}\\n', text: 'web\t3\n' },
    { id: 'missing field', template: '{{.Nope}}', text: '<no value>' },
    { id: 'index', template: '{{index .Labels "b"}}', text: '2' },
  ])('$id', async ({ template, text }) => {
    expect((await compileTemplate(template))(value)).toBe(text);
  });

  test.each([
    { id: 'open action', template: '{{' },
    { id: 'unknown function', template: '{{nope .Name}}' },
  ])('refuses: $id', async ({ template }) => {
    const render = async (): Promise<string> => (await compileTemplate(template))(value);
    await expect(render()).rejects.toThrow(/^template parsing error: template: :1: /);
  });
});
