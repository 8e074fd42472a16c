import { expect, it } from 'vitest';
import { command, dump } from '../../../../../worker/network/system/command.ts';

it('a dump is all that the program has written', async () => {
  const bytes = await dump('sh', ['-c', 'for each in one two three; do echo $each; done']);
  expect(bytes.toString()).toBe('one\ntwo\nthree\n');
  expect((await dump('true', [])).length).toBe(0);
  expect((await dump('head', ['-c', '3000000', '/dev/zero'])).length).toBe(3_000_000);
});

it.each([{ run: command }, { run: dump }])(
  'a program that fails is told in its own words: $run.name',
  async ({ run }) => {
    await expect(run('sh', ['-c', 'echo lost; echo no such link >&2; exit 1'])).rejects.toThrow('no such link');
    await expect(run('waggle-has-no-such-program', [])).rejects.toThrow('ENOENT');
  },
);
