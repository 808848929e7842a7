-- The 26 tables of MIMIC-III v1.4, with the column names, types and `not null` of the public PostgreSQL schema, so
-- that a database built by others and this one are interchangeable. `lstm-aa load-database` reads the columns from
-- here: one a line. Keys and indexes stand in indexes.sql; row_id is no primary key, because nothing looks rows up by
-- it and its index would be a tenth of the database.

-- Dictionaries --------------------------------------------------------------------------------------------------------

-- Chapters of the Current Procedural Terminology (CPT).
create table d_cpt (
    row_id integer not null,
    category smallint not null,
    sectionrange varchar(100) not null,
    sectionheader varchar(50) not null,
    subsectionrange varchar(100) not null,
    subsectionheader varchar(255) not null,
    codesuffix varchar(5),
    mincodeinsubsection integer not null,
    maxcodeinsubsection integer not null
);

-- ICD-9 codes of diagnoses.
create table d_icd_diagnoses (
    row_id integer not null,
    icd9_code varchar(10) not null,
    short_title varchar(50) not null,
    long_title varchar(255) not null
);

-- ICD-9 codes of procedures.
create table d_icd_procedures (
    row_id integer not null,
    icd9_code varchar(10) not null,
    short_title varchar(50) not null,
    long_title varchar(255) not null
);

-- What is charted in the ICU: items of all events but those of the laboratory.
create table d_items (
    row_id integer not null,
    itemid integer not null,
    label varchar(200),
    abbreviation varchar(100),
    dbsource varchar(20),
    linksto varchar(50),
    category varchar(100),
    unitname varchar(100),
    param_type varchar(30),
    conceptid integer
);

-- Items of the laboratory.
create table d_labitems (
    row_id integer not null,
    itemid integer not null,
    label varchar(100) not null,
    fluid varchar(100) not null,
    category varchar(100) not null,
    loinc_code varchar(100)
);

-- Who charted.
create table caregivers (
    row_id integer not null,
    cgid integer not null,
    label varchar(15),
    description varchar(30)
);

-- Patients and where they were ----------------------------------------------------------------------------------------

-- One row a patient.
create table patients (
    row_id integer not null,
    subject_id integer not null,
    gender varchar(5) not null,
    dob timestamp(0) not null,
    dod timestamp(0),
    dod_hosp timestamp(0),
    dod_ssn timestamp(0),
    expire_flag integer not null
);

-- One row a stay in hospital.
create table admissions (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    admittime timestamp(0) not null,
    dischtime timestamp(0) not null,
    deathtime timestamp(0),
    admission_type varchar(50) not null,
    admission_location varchar(50) not null,
    discharge_location varchar(50) not null,
    insurance varchar(255) not null,
    language varchar(10),
    religion varchar(50),
    marital_status varchar(50),
    ethnicity varchar(200) not null,
    edregtime timestamp(0),
    edouttime timestamp(0),
    diagnosis varchar(255),
    hospital_expire_flag smallint,
    has_chartevents_data smallint not null
);

-- One row a stay in an ICU.
create table icustays (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    icustay_id integer not null,
    dbsource varchar(20) not null,
    first_careunit varchar(20) not null,
    last_careunit varchar(20) not null,
    first_wardid smallint not null,
    last_wardid smallint not null,
    intime timestamp(0) not null,
    outtime timestamp(0),
    los double precision
);

-- Every move between wards.
create table transfers (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    icustay_id integer,
    dbsource varchar(20),
    eventtype varchar(20),
    prev_careunit varchar(20),
    curr_careunit varchar(20),
    prev_wardid smallint,
    curr_wardid smallint,
    intime timestamp(0),
    outtime timestamp(0),
    los double precision
);

-- Discharges from the ICU that were planned, and what came of them.
create table callout (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    submit_wardid integer,
    submit_careunit varchar(15),
    curr_wardid integer,
    curr_careunit varchar(15),
    callout_wardid integer,
    callout_service varchar(10) not null,
    request_tele smallint not null,
    request_resp smallint not null,
    request_cdiff smallint not null,
    request_mrsa smallint not null,
    request_vre smallint not null,
    callout_status varchar(20) not null,
    callout_outcome varchar(20) not null,
    discharge_wardid integer,
    acknowledge_status varchar(20) not null,
    createtime timestamp(0) not null,
    updatetime timestamp(0) not null,
    acknowledgetime timestamp(0),
    outcometime timestamp(0) not null,
    firstreservationtime timestamp(0),
    currentreservationtime timestamp(0)
);

-- Under which service a patient was.
create table services (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    transfertime timestamp(0) not null,
    prev_service varchar(20),
    curr_service varchar(20)
);

-- What was charted and measured ---------------------------------------------------------------------------------------

-- Bedside charting: nine tenths of the rows of a release.
create table chartevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    icustay_id integer,
    itemid integer,
    charttime timestamp(0),
    storetime timestamp(0),
    cgid integer,
    value varchar(255),
    valuenum double precision,
    valueuom varchar(50),
    warning integer,
    error integer,
    resultstatus varchar(50),
    stopped varchar(50)
);

-- Charted dates.
create table datetimeevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    icustay_id integer,
    itemid integer not null,
    charttime timestamp(0) not null,
    storetime timestamp(0) not null,
    cgid integer not null,
    value timestamp(0),
    valueuom varchar(50) not null,
    warning smallint,
    error smallint,
    resultstatus varchar(50),
    stopped varchar(50)
);

-- Fluids and drugs given, CareVue.
create table inputevents_cv (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    icustay_id integer,
    charttime timestamp(0),
    itemid integer,
    amount double precision,
    amountuom varchar(30),
    rate double precision,
    rateuom varchar(30),
    storetime timestamp(0),
    cgid integer,
    orderid integer,
    linkorderid integer,
    stopped varchar(30),
    newbottle integer,
    originalamount double precision,
    originalamountuom varchar(30),
    originalroute varchar(30),
    originalrate double precision,
    originalrateuom varchar(30),
    originalsite varchar(30)
);

-- Fluids and drugs given, MetaVision.
create table inputevents_mv (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    icustay_id integer,
    starttime timestamp(0),
    endtime timestamp(0),
    itemid integer,
    amount double precision,
    amountuom varchar(30),
    rate double precision,
    rateuom varchar(30),
    storetime timestamp(0),
    cgid integer,
    orderid integer,
    linkorderid integer,
    ordercategoryname varchar(100),
    secondaryordercategoryname varchar(100),
    ordercomponenttypedescription varchar(200),
    ordercategorydescription varchar(50),
    patientweight double precision,
    totalamount double precision,
    totalamountuom varchar(50),
    isopenbag smallint,
    continueinnextdept smallint,
    cancelreason smallint,
    statusdescription varchar(30),
    comments_editedby varchar(30),
    comments_canceledby varchar(40),
    comments_date timestamp(0),
    originalamount double precision,
    originalrate double precision
);

-- Fluids lost, among them urine.
create table outputevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    icustay_id integer,
    charttime timestamp(0),
    itemid integer,
    value double precision,
    valueuom varchar(30),
    storetime timestamp(0),
    cgid integer,
    stopped varchar(30),
    newbottle char(1),
    iserror integer
);

-- Procedures in the ICU, MetaVision.
create table procedureevents_mv (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    icustay_id integer,
    starttime timestamp(0),
    endtime timestamp(0),
    itemid integer,
    value double precision,
    valueuom varchar(30),
    location varchar(30),
    locationcategory varchar(30),
    storetime timestamp(0),
    cgid integer,
    orderid integer,
    linkorderid integer,
    ordercategoryname varchar(100),
    secondaryordercategoryname varchar(100),
    ordercategorydescription varchar(50),
    isopenbag smallint,
    continueinnextdept smallint,
    cancelreason smallint,
    statusdescription varchar(30),
    comments_editedby varchar(30),
    comments_canceledby varchar(30),
    comments_date timestamp(0)
);

-- Laboratory values; they name no ICU stay.
create table labevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    itemid integer not null,
    charttime timestamp(0),
    value varchar(200),
    valuenum double precision,
    valueuom varchar(20),
    flag varchar(20)
);

-- Cultures and what they are sensitive to.
create table microbiologyevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    chartdate timestamp(0),
    charttime timestamp(0),
    spec_itemid integer,
    spec_type_desc varchar(100),
    org_itemid integer,
    org_name varchar(100),
    isolate_num smallint,
    ab_itemid integer,
    ab_name varchar(30),
    dilution_text varchar(10),
    dilution_comparison varchar(20),
    dilution_value double precision,
    interpretation varchar(5)
);

-- Notes as free text; the demo has none.
create table noteevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer,
    chartdate timestamp(0),
    charttime timestamp(0),
    storetime timestamp(0),
    category varchar(50),
    description varchar(255),
    cgid integer,
    iserror char(1),
    text text
);

-- Drugs ordered.
create table prescriptions (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    icustay_id integer,
    startdate timestamp(0),
    enddate timestamp(0),
    drug_type varchar(100) not null,
    drug varchar(100) not null,
    drug_name_poe varchar(100),
    drug_name_generic varchar(100),
    formulary_drug_cd varchar(120),
    gsn varchar(200),
    ndc varchar(120),
    prod_strength varchar(120),
    dose_val_rx varchar(120),
    dose_unit_rx varchar(120),
    form_val_disp varchar(120),
    form_unit_disp varchar(120),
    route varchar(120)
);

-- Codes for billing ---------------------------------------------------------------------------------------------------

-- Procedures as CPT codes.
create table cptevents (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    costcenter varchar(10) not null,
    chartdate timestamp(0),
    cpt_cd varchar(10) not null,
    cpt_number integer,
    cpt_suffix varchar(5),
    ticket_id_seq integer,
    sectionheader varchar(50),
    subsectionheader varchar(255),
    description varchar(200)
);

-- Diagnoses as ICD-9 codes.
create table diagnoses_icd (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    seq_num integer,
    icd9_code varchar(10)
);

-- Diagnosis related groups.
create table drgcodes (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    drg_type varchar(20) not null,
    drg_code varchar(20) not null,
    description varchar(255),
    drg_severity smallint,
    drg_mortality smallint
);

-- Procedures as ICD-9 codes.
create table procedures_icd (
    row_id integer not null,
    subject_id integer not null,
    hadm_id integer not null,
    seq_num integer not null,
    icd9_code varchar(10) not null
);
