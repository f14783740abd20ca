CREATE EXTENSION quiver;

CREATE TABLE packages (
    id          integer PRIMARY KEY,
    name        text NOT NULL,
    description text NOT NULL,
    embedding   vector(384) NOT NULL
);
CREATE TABLE questions (
    id        integer PRIMARY KEY,
    question  text NOT NULL,
    embedding vector(384) NOT NULL
);
