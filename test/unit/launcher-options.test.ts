import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allValues,
  isTrue,
  lastValue,
  parseCommandLine,
  parseHelp,
  parsePlainCommandLine,
  wordsWithout,
} from '../../src/parent/launcher/options.js';

// As rootlesskit 1.1.0, 2.0.2 and urfave/cli in general write it.
const HELP = `NAME:
   rootlesskit - Linux-native fakeroot using user namespaces

DESCRIPTION:
   Examples:
     # set mount propagation to rslave
     rootlesskit --propagation=rslave bash

OPTIONS:
  Misc:
    --debug                      debug mode (default: false)
    --help, -h                   show help (default: false)
  Mount:
    --copy-up value [ --copy-up value ]                      mount a file system. e.g. "--copy-up=/etc"
  Network:
    --net value                  network driver [host, slirp4netns]
    --disable-host-loopback      prohibit connecting to 127.0.0.1:* (default: false)
    --lxc-user-nic-binary FILE   path of lxc-user-nic
  Port:
    --port-driver value          port driver. [none, builtin]
    --publish value, -p value [ --publish value, -p value ]  publish ports
  State:
    --state-dir value
`;
const TABLE = parseHelp(HELP);

const parse = (...args: string[]) => parseCommandLine(args, TABLE);

describe("rootlesskit's help", () => {
  it('tells every option and whether it takes a value, and nothing else', () => {
    expect(Object.fromEntries(TABLE)).toEqual({
      debug: false,
      help: false,
      h: false,
      'copy-up': true,
      net: true,
      'disable-host-loopback': false,
      'lxc-user-nic-binary': true,
      'port-driver': true,
      publish: true,
      p: true,
      'state-dir': true,
    });
  });
});

describe("rootlesskit's command line", () => {
  it.each([
    [['--port-driver=sluice', 'true']],
    [['--port-driver', 'sluice', 'true']],
    [['-port-driver=sluice', 'true']],
    [['-port-driver', 'sluice', 'true']],
    [['--port-driver=builtin', '--port-driver=sluice', '--', 'true']],
  ])('finds the port driver in %j', (args) => {
    const line = parse(...args);
    expect(line && lastValue(line, 'port-driver')).toBe('sluice');
    expect(line?.command).toEqual(['true']);
  });

  it('ends the options at the first argument that is none', () => {
    const line = parse('--debug', 'true', '--port-driver=sluice');
    expect(line?.command).toEqual(['true', '--port-driver=sluice']);
    expect(line && lastValue(line, 'port-driver')).toBeUndefined();
  });

  it('takes a single dash for the command', () => {
    expect(parse('-', 'x')?.command).toEqual(['-', 'x']);
  });

  it('does not take the value of one option for another option', () => {
    const line = parse('--copy-up', '--port-driver=sluice', 'true');
    expect(line && lastValue(line, 'port-driver')).toBeUndefined();
    expect(line && lastValue(line, 'copy-up')).toBe('--port-driver=sluice');
  });

  it('gathers the values of both names of an option in order', () => {
    const line = parse('-p', 'a', '--publish=b', '-p=c', 'true');
    expect(line && allValues(line, 'publish', 'p')).toEqual(['a', 'b', 'c']);
  });

  it('gives back the other options word by word', () => {
    const line = parse(
      '-p',
      'a',
      '--net',
      'slirp4netns',
      '-debug',
      '--publish=b',
      '--copy-up=/etc',
    );
    expect(line && wordsWithout(line, 'publish', 'p')).toEqual([
      '--net',
      'slirp4netns',
      '-debug',
      '--copy-up=/etc',
    ]);
  });

  it('keeps empty values and values with equals signs and line breaks', () => {
    const line = parse('--net=', '--copy-up=a=b\nc', '--state-dir', '', 'true');
    expect(line?.options.map(({ value }) => value)).toEqual(['', 'a=b\nc', '']);
  });

  it.each([[['--nosuch', 'true']], [['---debug']], [['--=x']], [['--net']], [['-p8080:80/tcp']]])(
    'leaves %j to rootlesskit to refuse',
    (args) => {
      expect(parse(...args)).toBeUndefined();
    },
  );

  it.each([
    ['true', true],
    ['1', true],
    ['T', true],
    ['false', false],
    ['0', false],
    [undefined, false],
  ])('reads the flag value %j as %s', (value, expected) => {
    expect(isTrue(value)).toBe(expected);
  });

  it('loses and invents nothing, whatever it is given', () => {
    const names = [...TABLE.keys()];
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('--', '-', '--port-driver', 'sluice'),
      fc
        .tuple(fc.constantFrom('-', '--'), fc.constantFrom(...names), fc.constantFrom('', '=x'))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(fc.array(word), (args) => {
        const line = parseCommandLine(args, TABLE);
        if (line === undefined) return;
        const options = wordsWithout(line);
        const rest = args.slice(options.length);
        expect(options).toEqual(args.slice(0, options.length));
        expect(line.command).toEqual(rest[0] === '--' ? rest.slice(1) : rest);
      }),
    );
  });

  it("is read without its help where that makes no difference, as dockerd-rootless.sh's", () => {
    const args = ['--net=slirp4netns', '--disable-host-loopback', '--state-dir=/x', 'sh', '--x'];
    expect(parsePlainCommandLine(args)).toEqual(parse(...args));
    expect(parsePlainCommandLine(args)).toMatchObject({ command: ['sh', '--x'] });
    const apart = ['--net', 'slirp4netns', '--debug', '-p', '127.0.0.1:80:80/tcp', 'sh', '-p', 'x'];
    expect(parsePlainCommandLine(apart)).toEqual(parse(...apart));
    expect(parsePlainCommandLine(apart)).toMatchObject({ command: ['sh', '-p', 'x'] });
  });

  it.each([
    [['--disable-host-loopback', 'sh']],
    [['--debug', '--', 'sh']],
    [['--mtu', '1500', '--state-dir=/x', 'sh']],
    [['--=x', 'sh']],
    [['--state-dir=/x']],
    [['sh', '--state-dir=/x']],
    [[]],
  ])('takes its help for %j', (args) => {
    expect(parsePlainCommandLine(args)).toBeUndefined();
  });

  it('means the same without its help, if anything', () => {
    const names = [...TABLE].map(([name, takesValue]) => (takesValue ? `${name}=x` : name));
    const option = fc.constantFrom(...names).map((name) => `--${name}`);
    const words = fc.constantFrom('--', '-', 'sh', '--net=y', '--net', '-p', '--debug');
    fc.assert(
      fc.property(fc.array(option), fc.array(words), (options, rest) => {
        const args = [...options, ...rest];
        const read = parse(...args);
        expect(parsePlainCommandLine(args) ?? read).toEqual(read);
      }),
    );
  });

  it('finds a value however it is written', () => {
    const valued = [...TABLE].filter(([, takesValue]) => takesValue).map(([name]) => name);
    const option = fc.record({
      name: fc.constantFrom(...valued),
      value: fc.string(),
      dashes: fc.constantFrom('-', '--'),
      attached: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(option), fc.array(fc.string()), (options, command) => {
        const words = options.flatMap(({ name, value, dashes, attached }) =>
          attached ? [`${dashes}${name}=${value}`] : [`${dashes}${name}`, value],
        );
        const line = parse(...words, '--', ...command);
        expect(line?.options.map(({ name, value }) => [name, value])).toEqual(
          options.map(({ name, value }) => [name, value]),
        );
        expect(line?.command).toEqual(command);
      }),
    );
  });
});
